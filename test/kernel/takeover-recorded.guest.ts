/** Takes over every recorded node. The result is compared with the same cluster on a node without rules. */
import { IptablesBackend } from '../../src/backends/iptables/backend';
import { runCommand } from '../../src/host/command';
import { type Family, families } from '../../src/model/address';
import { ClusterStore } from '../../src/model/cluster-store';
import { planCluster } from '../../src/planner/plan-cluster';
import { parseManifests } from '../../src/sources/manifests/parse-manifests';
import { IptablesDriver } from '../../src/xtables/driver';
import { tableNames } from '../../src/xtables/rules';
import type { Variant } from '../../src/xtables/variant';
import { readRecording, recordings } from '../support/kube-proxy-rules';
import { sortedRules } from '../support/sorted-rules';
import { iptablesSettings, makeSettings, podDetector } from '../support/settings';

const variant = process.argv[2] as Variant;
const settings = makeSettings({ localDetector: podDetector });

class Node {
  private readonly tool: string;
  private readonly driver: IptablesDriver;

  constructor(private readonly family: Family) {
    this.tool = `${family === 'IPv4' ? 'iptables' : 'ip6tables'}-${variant}`;
    this.driver = new IptablesDriver(family, variant, runCommand, (file, args) => ({ file, args }));
  }

  async load(rules: string): Promise<void> {
    await runCommand(`${this.tool}-restore`, [], { input: rules });
  }

  async forget(): Promise<void> {
    const input = tableNames.map((table) => `*${table}\nCOMMIT\n`).join('');
    await this.load(input);
  }

  async rules(): Promise<string[]> {
    return sortedRules((await runCommand(`${this.tool}-save`, [])).stdout);
  }

  /** As a process that has just started. */
  async sync(store: ClusterStore): Promise<string[]> {
    const backend = new IptablesBackend(this.family, iptablesSettings, this.driver);
    await backend.read();
    backend.render(planCluster(store, this.family, settings));
    await backend.apply(backend.diff() ?? []);
    return this.rules();
  }
}

function clusterOf(recording: string): ClusterStore {
  const store = new ClusterStore(0);
  const { objects } = parseManifests('objects.json', readRecording(recording, 'objects.json'));
  for (const { sets } of objects) store.apply(sets);
  return store;
}

async function main(): Promise<unknown> {
  const differences: Record<string, unknown> = {};
  let taken = 0;
  for (const family of families) {
    const node = new Node(family);
    for (const recording of recordings.filter((name) => family === 'IPv4' || name.startsWith('dual-stack'))) {
      await node.load(readRecording(recording, family === 'IPv4' ? 'v4.rules' : 'v6.rules'));
      const before = await node.rules();
      const takenOver = await node.sync(clusterOf(recording));
      await node.forget();
      const fresh = await node.sync(clusterOf(recording));
      await node.forget();
      const extra = takenOver.filter((line) => !fresh.includes(line));
      const missing = fresh.filter((line) => !takenOver.includes(line));
      const misplaced = takenOver.length !== fresh.length || takenOver.some((line, i) => line !== fresh[i]);
      if (misplaced) differences[`${recording} ${family}`] = { extra, missing };
      if (before.join() !== takenOver.join()) taken++;
    }
  }
  return { differences, taken };
}

void main().then((result) => process.stdout.write(JSON.stringify(result)));
