/**
 * Takes over the table of this network namespace, and dies by SIGKILL once it has made so many transactions. Its input is a List of Kubernetes
 * objects. It ends with exit code 0 where there are fewer.
 */
import { readFileSync } from 'node:fs';
import { NftablesBackend } from '../../src/backends/nftables/backend';
import { NetlinkNftKernel } from '../../src/backends/nftables/driver';
import type { TableWrite } from '../../src/backends/nftables/objects';
import { PlannedCluster } from '../conformance/planned-cluster';
import type { ClusterObject } from '../conformance/scenario';

const [objectsFile = '', most] = process.argv.slice(2);

class MortalKernel extends NetlinkNftKernel {
  #left = Number(most);

  override async write(writes: readonly TableWrite[]): Promise<void> {
    await super.write(writes);
    if (--this.#left === 0) process.kill(process.pid, 'SIGKILL');
  }
}

async function main(): Promise<void> {
  const cluster = new PlannedCluster({ nodePortAddresses: ['primary'] }, ['192.168.88.10']);
  cluster.apply(JSON.parse(readFileSync(objectsFile, 'utf8')) as ClusterObject[]);
  const backend = new NftablesBackend('IPv4', { masqueradeMark: 0x4000 }, new MortalKernel('IPv4'));
  await backend.read();
  backend.render(cluster.plans.IPv4);
  await backend.apply(backend.diff() ?? []);
}

void main();
