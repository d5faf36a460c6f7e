import { stepLimits } from '../../src/backends/nftables/message-size';
import type { TableWrite } from '../../src/backends/nftables/objects';
import { type Change, StepBuilder } from '../../src/backends/nftables/steps';
import type { Family } from '../../src/model/address';

/** Cuts writes into transactions as the backend does: tables, sets, chains and rules of a step come before its elements. */
export function packWrites(writes: Iterable<TableWrite>, family: Family): readonly (readonly TableWrite[])[] {
  const to = new StepBuilder(family, stepLimits);
  for (const write of writes) for (const change of changesOf(write)) to.add(change);
  return to.finish().map((step) => step.writes);
}

function changesOf(write: TableWrite): readonly Change[] {
  if (write.op !== 'add-elements' && write.op !== 'delete-elements') return [{ objects: [write] }];
  const part = write.op === 'add-elements' ? 'additions' : 'deletions';
  return write.elements.map((element) => ({ [part]: [{ set: write.set, element }] }));
}
