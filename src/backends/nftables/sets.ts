/** The sets and maps of the table. All of them are there, whatever the Services are. */
import { type SetName, setNames } from './names';
import type { Field, SetObject } from './objects';

const vip: readonly Field[] = ['address', 'protocol', 'port'];
const nodePort: readonly Field[] = ['protocol', 'port'];
const endpoint: readonly Field[] = ['address', 'port'];

const shapes: Readonly<Record<SetName, Omit<SetObject, 'name'>>> = {
  [setNames.clusterIPs]: { key: ['address'] },
  [setNames.nodePortIPs]: { key: ['address'] },
  [setNames.vips]: { key: vip, data: 'verdict' },
  [setNames.nodePorts]: { key: nodePort, data: 'verdict' },
  [setNames.refusedVips]: { key: vip, data: 'verdict' },
  [setNames.refusedNodePorts]: { key: nodePort, data: 'verdict' },
  [setNames.restrictedVips]: { key: vip, data: 'verdict' },
  [setNames.endpoints]: { key: [...vip, 'index'], data: endpoint },
  [setNames.localEndpoints]: { key: [...vip, 'index'], data: endpoint },
  [setNames.nodePortEndpoints]: { key: [...nodePort, 'index'], data: endpoint },
  [setNames.localNodePortEndpoints]: { key: [...nodePort, 'index'], data: endpoint },
  [setNames.hairpin]: { key: ['address', 'address'] },
};

export const tableSets: readonly SetObject[] = Object.values(setNames).map((name) => ({ name, ...shapes[name] }));
