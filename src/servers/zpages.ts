/**
 * /statusz and /flagz, in the formats that Kubernetes components have had since 1.36: text, and config.k8s.io objects for clients that
 * ask for them (`Accept: application/json;v=v1beta1;g=config.k8s.io;as=Statusz`). KEP-4827, KEP-4828.
 */
import type { RequestListener } from 'node:http';
import { stringify } from 'yaml';
import { sendJson, sendText } from './send';

export interface Component {
  readonly name: string;
  readonly version: string;
  /** The version of kube-proxy that it replaces, such as `1.36`. */
  readonly emulates: string;
  readonly startMs: number;
  /** All flags by name, including the defaults. */
  readonly flags: Readonly<Record<string, string>>;
  /** The other paths of the same port. */
  readonly paths: readonly string[];
}

type Kind = 'Statusz' | 'Flagz';
/** v1alpha1 is from Kubernetes 1.35 and has the same fields. */
type Version = 'v1beta1' | 'v1alpha1';

type Form =
  | { readonly kind: 'text' }
  | { readonly kind: 'object'; readonly encoding: 'json' | 'yaml'; readonly version: Version };

const group = 'config.k8s.io';

/** Returns the client's preferred format among those that exist, or undefined when it accepts none of them. */
export function chooseForm(accept: string, as: Kind): Form | undefined {
  if (accept.trim() === '') return { kind: 'text' };
  const wishes = accept.split(',').map((wish) => {
    const [type = '', ...parameters] = wish.split(';').map((part) => part.trim());
    const pairs = parameters.flatMap((parameter): [string, string][] => {
      const [name = '', value] = parameter.split('=', 2);
      return value === undefined ? [] : [[name.trim(), value.trim()]];
    });
    return { type, parameters: new Map(pairs) };
  });
  const quality = ({ parameters }: (typeof wishes)[number]): number => Number(parameters.get('q') ?? 1);
  for (const { type, parameters } of wishes.sort((a, b) => quality(b) - quality(a))) {
    if (['text/plain', 'text/*', '*/*'].includes(type)) return { kind: 'text' };
    const encoding = type === 'application/json' ? 'json' : type === 'application/yaml' ? 'yaml' : undefined;
    const version = (['v1beta1', 'v1alpha1'] as const).find((each) => each === parameters.get('v'));
    if (encoding !== undefined && version !== undefined && parameters.get('g') === group && parameters.get('as') === as)
      return { kind: 'object', encoding, version };
  }
  return undefined;
}

export function answerStatusz(component: Component): RequestListener {
  return answer('Statusz', component, (nowMs) => {
    const { version, emulates, startMs, paths } = component;
    const uptimeSeconds = Math.floor((nowMs - startMs) / 1000);
    const two = (value: number): string => String(value).padStart(2, '0');
    const up = `${Math.floor(uptimeSeconds / 3600)} hr ${two(Math.floor(uptimeSeconds / 60) % 60)} min ${two(uptimeSeconds % 60)} sec`;
    const startTime = `${new Date(startMs).toISOString().slice(0, 19)}Z`;
    return {
      fields: { startTime, uptimeSeconds, binaryVersion: version, emulationVersion: emulates, paths },
      lines: [
        `Started: ${new Date(startMs).toUTCString()}`,
        `Up: ${up}`,
        `Node.js version: ${process.versions.node}`,
        `Binary version: ${version}`,
        `Emulation version: ${emulates}`,
        `Paths: ${paths.join(' ')}`,
      ],
    };
  });
}

export function answerFlagz(component: Component): RequestListener {
  const names = Object.keys(component.flags).sort();
  const flags = Object.fromEntries(names.map((name) => [name, component.flags[name] ?? '']));
  return answer('Flagz', component, () => ({
    fields: { flags },
    lines: Object.entries(flags).map(([name, value]) => `${name}=${value}`),
  }));
}

interface Page {
  readonly fields: Readonly<Record<string, unknown>>;
  readonly lines: readonly string[];
}

function answer(kind: Kind, { name }: Component, tell: (nowMs: number) => Page): RequestListener {
  return (request, response) => {
    const form = chooseForm(request.headers.accept ?? '', kind);
    if (form === undefined) {
      sendText(
        response,
        406,
        `accepted are text/plain and application/json;v=v1beta1;g=${group};as=${kind} (or application/yaml)\n`,
      );
      return;
    }
    const { fields, lines } = tell(Date.now());
    if (form.kind === 'text') {
      const title = `${name} ${kind.toLowerCase()}\nWarning: this text is for people; programs should ask for application/json`;
      sendText(response, 200, `\n${title}\n\n${lines.join('\n')}\n`);
      return;
    }
    const { encoding, version } = form;
    const object = { kind, apiVersion: `${group}/${version}`, metadata: { name }, ...fields };
    const text = encoding === 'json' ? `${JSON.stringify(object)}\n` : stringify(object);
    const old = { Warning: `299 - "${group}/v1alpha1 ${kind} is deprecated: use ${group}/v1beta1"` };
    sendJson(response, 200, text, {
      'Content-Type': `application/${encoding}`,
      ...(version === 'v1alpha1' ? old : {}),
    });
  };
}
