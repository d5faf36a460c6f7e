/**
 * Reads vipwire's annotations that say how a Service's endpoints are chosen. A bad annotation has no effect and causes a warning. So
 * does one that is too large, because every node would have to read it, whoever wrote it.
 */
import { parseAddress } from '../../model/address';
import type { WeightRule } from '../../model/cluster';
import { parseScheduler, type Scheduler, schedulerNames } from '../../model/scheduler';
import { type Fields, isWholeWithin, quote, textOf, type WarnOf } from './decode-fields';

/** The second one is kube-router's, for its users. */
const schedulerAnnotations = ['vipwire.io/scheduler', 'kube-router.io/service.scheduler'];
const weightsAnnotation = 'vipwire.io/weights';
const highestWeight = 65535;
const mostBytes = 8192;
const mostWeights = 256;

export function decodeScheduler(annotations: Fields, warn: WarnOf): Scheduler | undefined {
  const annotation = schedulerAnnotations.find((name) => name in annotations);
  if (annotation === undefined) return undefined;
  const text = textOf(annotations[annotation]);
  if (isTooLong(text)) {
    warn('bad-annotation', `${annotation}: ${tooLong}: ignored`);
    return undefined;
  }
  const value = text.trim();
  const scheduler = parseScheduler(value);
  if (scheduler === undefined)
    warn('bad-annotation', `${annotation}: ${quote(value)} is not a scheduler: use ${schedulerNames.join(', ')}`);
  return scheduler;
}

/**
 * Reads `{"web-": 9, "node=n1": 0, "zone=z1": 2, "10.0.0.1": 5}`. Returns the rules by precedence, or undefined when there are none.
 */
export function decodeWeights(annotations: Fields, warn: WarnOf): readonly WeightRule[] | undefined {
  const value = annotations[weightsAnnotation];
  if (value === undefined) return undefined;
  const rules = parseWeights(textOf(value));
  if (typeof rules !== 'string') return rules;
  warn('bad-annotation', `${weightsAnnotation}: ${rules}: ignored, all endpoints have the same weight`);
  return undefined;
}

const tooLong = `has more than ${mostBytes / 1024} KiB`;

/** Tests the length first: a text has at least as many bytes as characters. */
function isTooLong(text: string): boolean {
  return text.length > mostBytes || Buffer.byteLength(text) > mostBytes;
}

/** Returns the rules, or a text that says what is wrong. */
function parseWeights(text: string): readonly WeightRule[] | string {
  if (isTooLong(text)) return tooLong;
  let object: unknown;
  try {
    object = JSON.parse(text);
  } catch {
    return `${quote(text)} is not JSON`;
  }
  if (typeof object !== 'object' || object === null || Array.isArray(object))
    return `${quote(object)} is not an object`;
  const entries: [string, unknown][] = Object.entries(object);
  if (entries.length > mostWeights) return `has ${entries.length} keys, more than ${mostWeights}`;
  const rules: WeightRule[] = [];
  for (const [key, weight] of entries) {
    if (!isWholeWithin(weight, 0, highestWeight))
      return `${quote(key)}: ${quote(weight)} is not a weight from 0 to ${highestWeight}`;
    rules.push({ ...ruleKey(key), weight });
  }
  const order: readonly WeightRule['kind'][] = ['address', 'pod', 'node', 'zone'];
  const precedence = ({ kind }: WeightRule): number => order.indexOf(kind);
  return rules.sort((a, b) => precedence(a) - precedence(b) || b.value.length - a.value.length);
}

function ruleKey(key: string): Pick<WeightRule, 'kind' | 'value'> {
  const address = parseAddress(key);
  if (address !== undefined) return { kind: 'address', value: address };
  const [, kind, name = ''] = /^(node|zone)=(.*)$/.exec(key) ?? [];
  if (kind === 'node' || kind === 'zone') return { kind, value: name };
  return { kind: 'pod', value: key };
}
