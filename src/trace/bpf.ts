/** Classic BPF as `-m bpf` runs it: from the IP header on. As much of it as compares addresses. */
import { addressBits, addressWidth, type Family } from '../model/address';

/** The IP header: source and destination in their places, zeros elsewhere. */
function printHeader(family: Family, source: string, destination: string): DataView {
  const bytes = addressWidth(family) / 8;
  const at = family === 'IPv4' ? 12 : 8;
  const header = new DataView(new ArrayBuffer(at + 2 * bytes));
  for (const [n, address] of [source, destination].entries()) {
    const bits = addressBits(address);
    for (let i = 0; i < bytes; i++)
      header.setUint8(at + n * bytes + i, Number((bits >> BigInt(8 * (bytes - 1 - i))) & 0xffn));
  }
  return header;
}

/** Runs `count,code jt jf k,...` to its return value. Throws for an instruction that it does not know, and where the kernel would refuse the program. */
export function runFilter(
  program: string,
  packet: { readonly family: Family; readonly source: string; readonly destination: string },
): number {
  const [count, ...instructions] = program.split(',');
  if (Number(count) !== instructions.length) throw new Error(`a BPF program of ${count} instructions: ${program}`);
  const header = printHeader(packet.family, packet.source, packet.destination);
  let accumulator = 0;
  let index = 0;
  for (let at = 0; at < instructions.length; at++) {
    const [code = -1, ifTrue = 0, ifFalse = 0, k = 0] = (instructions[at] ?? '').split(' ').map(Number);
    switch (code) {
      case 0x06: // ret k
        return k;
      case 0x07: // tax
        index = accumulator;
        break;
      case 0x1d: // jeq x
        at += accumulator === index ? ifTrue : ifFalse;
        break;
      case 0x20: // ld [k]
        accumulator = header.getUint32(k);
        break;
      default:
        throw new Error(`the tracer does not know BPF instruction ${code}: ${program}`);
    }
  }
  throw new Error(`a BPF program without an end: ${program}`);
}
