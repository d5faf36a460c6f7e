/** Prints manifests/examples, and each step of the recorded scenarios, as one List for a kind cluster. Usage: print-objects.ts FAMILY */
import { readObjectSets } from './read-objects';
import { type ClusterFamily, planClusterObjects } from './cluster-objects';

const [family = ''] = process.argv.slice(2);
if (['ipv4', 'ipv6', 'dual'].includes(family)) {
  const items = planClusterObjects(readObjectSets(), family as ClusterFamily);
  process.stdout.write(`${JSON.stringify({ apiVersion: 'v1', kind: 'List', items }, null, 1)}\n`);
} else {
  console.error('usage: print-objects.ts ipv4|ipv6|dual');
  process.exitCode = 2;
}
