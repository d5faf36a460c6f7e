/** Functions and results for writing a scenario's probes. */
import type { Place } from '../support/lab/topology';
import type { CheckedProbe, Expectation, Mode, ProbeResult } from './scenario';

/** All connections are answered, by exactly these pods (`a:8080`). If sources are given, the pods saw exactly those. */
export function reaches(backends: readonly string[], sources?: readonly string[]): ProbeResult {
  return { outcome: 'ok', backends, ...(sources === undefined ? {} : { sources }) };
}

export const refused: ProbeResult = { outcome: 'refused' };
/** Dropped: no answer at all. */
export const silent: ProbeResult = { outcome: 'timeout' };
/** Nobody serves it. How the client learns that does not matter. */
export const unanswered: ProbeResult = { outcome: ['refused', 'timeout', 'error:EHOSTUNREACH'] };

interface More {
  readonly count?: number;
  readonly sport?: number;
  readonly src?: string;
  /** What is right in IPVS mode, if it differs. */
  readonly ipvs?: ProbeResult;
  /** The same of nftables mode. */
  readonly nftables?: ProbeResult;
}

/** Enough connections that the chance to miss one of three pods is one in a million. */
function countFor(result: ProbeResult): number {
  if (result.outcome !== 'ok') return 2;
  return result.backends?.length === 1 ? 8 : 40;
}

function check(
  proto: 'tcp' | 'udp',
  from: Place,
  to: string,
  port: number,
  result: ProbeResult,
  more: More,
): CheckedProbe {
  const { ipvs, nftables, ...fields } = more;
  const byMode: Partial<Record<Mode, Expectation>> = {};
  if (ipvs !== undefined) byMode.ipvs = { kind: 'wanted', result: ipvs };
  if (nftables !== undefined) byMode.nftables = { kind: 'wanted', result: nftables };
  return {
    probe: { from, to, port, proto, count: countFor(result), ...fields },
    expectation: { kind: 'wanted', result },
    byMode,
  };
}

export function tcp(from: Place, to: string, port: number, result: ProbeResult, more: More = {}): CheckedProbe {
  return check('tcp', from, to, port, result, more);
}

export function udp(from: Place, to: string, port: number, result: ProbeResult, more: More = {}): CheckedProbe {
  return check('udp', from, to, port, result, more);
}

/** A GET whose answer has this status and, if given, these keys in its JSON. */
export function http(from: Place, url: string, status: number, json?: Readonly<Record<string, unknown>>): CheckedProbe {
  const result = { status, ...(json === undefined ? {} : { json }) };
  return {
    probe: { from, http: url, ...(json === undefined ? {} : { json: Object.keys(json) }) },
    expectation: { kind: 'wanted', result },
  };
}
