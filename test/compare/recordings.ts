/**
 * recorded/: what kube-proxy 1.36.2 had written into a real kernel, mode by mode, step by step of the scenarios in
 * test/conformance/recorded, with the cluster of that moment. Texts are as the tools printed them.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { nodeConfigOf } from '../../src/config/node-config';
import { modes } from '../../src/modes/modes';
import type { KernelTexts } from '../../src/compare/parse-kernel';
import type { Family } from '../../src/model/address';
import { ClusterStore } from '../../src/model/cluster-store';
import { planNodeSettings } from '../../src/planner/node-settings';
import type { Plan } from '../../src/planner/plan';
import { planCluster } from '../../src/planner/plan-cluster';
import { parseManifests } from '../../src/sources/manifests/parse-manifests';
import type { TracedMode } from '../../src/trace/rules-kind';
import { labConfiguration } from '../conformance/planned-cluster';

export interface Recording {
  /** `nodeport-local.2`: scenario and step. */
  readonly name: string;
  readonly config?: Readonly<Record<string, unknown>>;
  /** A List of Kubernetes objects. */
  readonly objects: string;
  readonly iptablesSave?: string;
  readonly ip6tablesSave?: string;
  readonly ipvsadm?: string;
  readonly ipset?: string;
  readonly addresses?: string;
  readonly nft?: string;
}

export function readRecordings(mode: TracedMode): readonly Recording[] {
  const packed = readFileSync(join('test', 'recorded', 'compare', `${mode}.json.gz`));
  return JSON.parse(gunzipSync(packed).toString()) as Recording[];
}

/** With the addresses of the host that were recorded from. */
const hostAddresses = ['192.168.88.10', 'fd88::10', '10.244.1.1', 'fd44:1::1'];

export function planRecording({ objects, config }: Recording, mode: TracedMode, family: Family): Plan {
  const store = new ClusterStore(0);
  for (const { sets } of parseManifests(objects, 'objects').objects) store.apply(sets);
  const ofMode = mode === 'nftables' ? { nodePortAddresses: ['primary'] } : { mode };
  const configuration = labConfiguration({ ...config, ...ofMode });
  const { settings } = planNodeSettings(
    nodeConfigOf(configuration, 'node', modes[configuration.mode]),
    store.nodes.get('node'),
    hostAddresses,
  );
  return planCluster(store, family, settings);
}

export function textsOf(recording: Recording, mode: TracedMode, family: Family): KernelTexts {
  const { iptablesSave, ip6tablesSave, ipvsadm, ipset, addresses, nft } = recording;
  if (mode === 'nftables') return nft === undefined ? {} : { nft };
  const save = family === 'IPv4' ? iptablesSave : ip6tablesSave;
  const rules = save === undefined ? {} : { iptablesSave: save };
  // An empty file was not recorded.
  return mode === 'iptables'
    ? rules
    : { ...rules, ipvsadm: ipvsadm ?? '', ipset: ipset ?? '', addresses: addresses ?? '' };
}
