/**
 * Prints manifests/examples, and each step of the recorded scenarios, as one List of objects for a kind cluster.
 * Usage: print-objects.ts ipv4|ipv6|dual
 */
import { planClusterObjects } from './cluster-objects';
import { readObjectSets } from './read-objects';

const [wanted] = process.argv.slice(2);
const family = (['ipv4', 'ipv6', 'dual'] as const).find((name) => name === wanted);
if (family !== undefined) {
  const items = planClusterObjects(readObjectSets(), family);
  process.stdout.write(`${JSON.stringify({ apiVersion: 'v1', kind: 'List', items }, null, 1)}\n`);
} else {
  console.error('usage: print-objects.ts ipv4|ipv6|dual');
  process.exitCode = 2;
}
