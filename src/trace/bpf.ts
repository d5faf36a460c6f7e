/** Runs classic BPF as `-m bpf` does, from the IP header on: only the instructions that are needed to compare addresses. */
import { addressBits, addressWidth, type Family } from '../model/address';
import { memoized } from './memoized';

/** An address as words of 32 bits. */
const wordsOf = memoized((address: string): readonly number[] => {
  const words: number[] = [];
  const width = addressWidth(address.includes(':') ? 'IPv6' : 'IPv4');
  for (let shift = BigInt(width - 32), bits = addressBits(address); shift >= 0n; shift -= 32n)
    words.push(Number((bits >> shift) & 0xffffffffn));
  return words;
});

/** Returns a word of the IP header. All of the header but source and destination is zeros. */
function loadWord(at: number, { family, source, destination }: FilteredPacket): number {
  const bytes = addressWidth(family) / 8;
  const offset = at - (family === 'IPv4' ? 12 : 8);
  const inSource = wordsOf(source)[offset / 4];
  const inDestination = wordsOf(destination)[(offset - bytes) / 4];
  return (offset < bytes ? inSource : inDestination) ?? 0;
}

interface FilteredPacket {
  readonly family: Family;
  readonly source: string;
  readonly destination: string;
}

type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, k: number];

const parseProgram = memoized((program: string): readonly Instruction[] => {
  const [count, ...instructions] = program.split(',');
  if (Number(count) !== instructions.length)
    throw new Error(`a BPF program that does not have the ${count} instructions that it declares: ${program}`);
  return instructions.map((text): Instruction => {
    const [code = -1, ifTrue = 0, ifFalse = 0, k = 0] = text.split(' ').map(Number);
    return [code, ifTrue, ifFalse, k];
  });
});

/**
 * Runs `count,code jt jf k,...` and returns its return value. Throws if it does not know an instruction, or if the kernel would
 * refuse the program.
 */
export function runFilter(program: string, packet: FilteredPacket): number {
  const instructions = parseProgram(program);
  let accumulator = 0;
  let index = 0;
  for (let at = 0; at < instructions.length; at++) {
    const [code, ifTrue, ifFalse, k] = instructions[at] ?? [-1, 0, 0, 0];
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
        accumulator = loadWord(k, packet);
        break;
      default:
        throw new Error(`the tracer does not know BPF instruction ${code}: ${program}`);
    }
  }
  throw new Error(`a BPF program that does not return: ${program}`);
}
