/** Prints a diff for people, as a summary or with its rules. */
import type { KernelDiff, ServiceDiff } from './kernel-diff';

/** `IPv4, node node-1, iptables mode: 12 services: 2 stale, 1 edited by somebody else` */
function printHeadline({ family, nodeName, mode, services, differences, unread }: KernelDiff): string {
  const where = `${family}, ${nodeName === '' ? 'a node without pods' : `node ${nodeName}`}, ${mode} mode`;
  const own = differences.filter(({ service }) => service !== '');
  const count = (cause: string): number => own.filter((one) => one.cause === cause).length;
  const parts = [
    ...(count('stale') > 0 ? [`${count('stale')} stale`] : []),
    ...(count('foreign') > 0 ? [`${count('foreign')} edited by somebody else`] : []),
    ...(own.length < differences.length ? ['differences that belong to no Service'] : []),
  ];
  const isOpen = unread.some(({ isKnown }) => !isKnown);
  const what = parts.length > 0 ? parts.join(', ') : isOpen ? 'no difference seen' : 'as it should be';
  return `${where}: ${services === 1 ? '1 service' : `${services} services`}: ${what}`;
}

/** Returns lines such as `ip filter cannot be read in full: ...`. */
function printUnread({ family, unread }: KernelDiff): string[] {
  return unread.map(({ table, reason, isKnown }) => {
    const name = `${family === 'IPv4' ? 'ip' : 'ip6'} ${table}`;
    const rest = isKnown ? "vipwire's own rules there were read from nf_tables" : 'it was not compared';
    return `${name} cannot be read in full: ${reason.replace(/\.$/, '')}; ${rest}`;
  });
}

/** If more Services than this are alike, they are printed as one. */
const mostAlike = 5;

const causeWords = { stale: 'stale', foreign: 'edited by somebody else' } as const;

/** The Service's line, followed by the evidence. */
function printService({ service, cause, evidence, hunks }: ServiceDiff): string[] {
  const count = (sign: string): number =>
    hunks.flatMap(({ lines }) => lines).filter((line) => line.sign === sign).length;
  const size = `${count('-')} too many, ${count('+')} missing`;
  const shown = evidence.slice(0, 5).map((line) => `  ${line}`);
  const more = evidence.length > 5 ? [`  and ${evidence.length - 5} more`] : [];
  return [`${service === '' ? 'without a Service' : service}: ${causeWords[cause]}: ${size}`, ...shown, ...more];
}

export function printSummaryOfDiff(diff: KernelDiff): string {
  return [printHeadline(diff), ...printUnread(diff), ...joinAlike(diff.differences).flatMap(printService), ''].join(
    '\n',
  );
}

/** Joins Services with the same evidence if there are many, for example after a table was flushed. */
function joinAlike(differences: readonly ServiceDiff[]): readonly ServiceDiff[] {
  const alike = new Map<string, ServiceDiff[]>();
  for (const one of differences) {
    const key = [one.cause, ...one.evidence].join('\n');
    alike.set(key, [...(alike.get(key) ?? []), one]);
  }
  return [...alike.values()].flatMap((some) => {
    const [first] = some;
    if (first === undefined || some.length <= mostAlike) return some;
    const hunks = some.flatMap((one) => one.hunks);
    return [{ ...first, service: `${some.length} Services, ${first.service} first`, hunks }];
  });
}

/** How many equal lines are shown before and after a line that differs. */
const contextLines = 3;

export function printDiff(diff: KernelDiff): string {
  const services = diff.differences.flatMap((one) => [
    '',
    ...printService(one),
    '--- in the kernel',
    '+++ as it should be',
    ...one.hunks.flatMap(({ place, lines }) => [
      `@@ ${place} @@`,
      ...lines.filter((_, i) => isNear(lines, i)).map(({ sign, text }) => `${sign} ${text}`),
    ]),
  ]);
  return [printHeadline(diff), ...printUnread(diff), ...services, ''].join('\n');
}

function isNear(lines: readonly { readonly sign: string }[], i: number): boolean {
  return lines.slice(Math.max(0, i - contextLines), i + contextLines + 1).some(({ sign }) => sign !== ' ');
}
