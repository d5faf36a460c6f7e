/** Prints a batch as input of the tools, and counts what it writes. */
import type { Family } from '../../model/address';
import { finish, type Pieces } from '../../model/pieces';
import { countRules, printStep, type Step } from '../../xtables/rules';
import type { BatchSize } from '../backend';
import { printAddressChange } from './device/ip-batch';
import type { IpvsBatch, Stage } from './diff';
import { printServerWrite, printServerWrites } from './servers/ipvsadm-text';
import type { ServerWrite } from './servers/virtual-server';

export function printStage(stage: Stage, family: Family): string {
  const six = family === 'IPv6' ? '6' : '';
  switch (stage.kind) {
    case 'sets':
      return `# ipset -exist restore\n${stage.input}`;
    case 'rules':
      return `# ip${six}tables-restore --noflush\n${printStep(stage.step)}`;
    case 'servers':
      return `# ipvsadm --restore\n${printServerWrites(stage.writes, family)}`;
    case 'bind':
    case 'unbind':
      return `# ip -batch -\n${stage.addresses.map((address) => printAddressChange(stage.kind, address)).join('')}`;
  }
}

const writesPerPiece = 1000;

export function sizeOf(batch: IpvsBatch, family: Family): BatchSize {
  return finish(sizeInPieces(batch, family));
}

export function* sizeInPieces(batch: IpvsBatch, family: Family): Pieces<BatchSize> {
  const steps: Step[] = [];
  const written = new Set<string>();
  const others = { servers: 0, destinations: 0, addresses: 0, entries: 0 };
  let bytes = 0;
  for (const stage of batch) {
    if (stage.kind !== 'servers') bytes += printStage(stage, family).length;
    switch (stage.kind) {
      case 'rules':
        steps.push(stage.step);
        break;
      case 'servers': {
        written.add('ipvs');
        const size = yield* serverWritesSize(stage.writes, family);
        others.servers += size.servers;
        others.destinations += size.destinations;
        bytes += size.bytes;
        break;
      }
      case 'sets':
        written.add('ipset');
        others.entries +=
          stage.writes.additions.size + stage.writes.deletions.length + stage.writes.deletionsFirst.length;
        break;
      default:
        written.add('kube-ipvs0');
        others.addresses += stage.addresses.length;
    }
  }
  const { rules, tables } = countRules(steps);
  return { rules, bytes, tables: [...tables, ...written], steps: batch.length, others };
}

/** Counts line by line, so that the first write of a large cluster is never in memory as one text. */
function* serverWritesSize(
  writes: readonly ServerWrite[],
  family: Family,
): Pieces<{ readonly servers: number; readonly destinations: number; readonly bytes: number }> {
  const size = { servers: 0, destinations: 0, bytes: 0 };
  for (const [i, write] of writes.entries()) {
    if (i % writesPerPiece === 0) yield;
    size['destination' in write ? 'destinations' : 'servers']++;
    size.bytes += printServerWrite(write, family).length + 1;
  }
  return size;
}
