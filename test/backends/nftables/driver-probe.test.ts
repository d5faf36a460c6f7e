import { findMissingParts } from '../../../src/backends/nftables/driver-probe';
import { RefusedWritesError, type TableWrite } from '../../../src/backends/nftables/objects';

/** A kernel that refuses these writes, and the last one, as every kernel does. */
function kernelWithout(lacks: (write: TableWrite) => boolean): {
  write: (writes: readonly TableWrite[]) => Promise<void>;
} {
  return {
    write: (writes) => {
      const refused = writes.flatMap((write, i): [number, string][] =>
        lacks(write) || i === writes.length - 1 ? [[i, 'ENOENT']] : [],
      );
      return Promise.reject(new RefusedWritesError('refused', new Map(refused)));
    },
  };
}

const uses = (kind: string) => (write: TableWrite) =>
  write.op === 'set-rules' && write.rules.some(({ statements }) => statements.some((one) => one.kind === kind));

test.each([
  ['is-local', 'CONFIG_NFT_FIB_IPV6'],
  ['masquerade', 'CONFIG_NFT_MASQ'],
  ['reject', 'CONFIG_NFT_REJECT_IPV6'],
  ['ct-state-new', 'CONFIG_NFT_CT'],
])('a kernel that refuses %s lacks %s', async (kind, option) => {
  const missing = await findMissingParts('IPv6', kernelWithout(uses(kind)));
  expect(missing).toEqual([expect.objectContaining({ option, code: 'ENOENT' })]);
});

test('a kernel that has everything refuses the last write alone, and without tables only that is named', async () => {
  expect(
    await findMissingParts(
      'IPv4',
      kernelWithout(() => false),
    ),
  ).toEqual([]);
  const missing = await findMissingParts(
    'IPv4',
    kernelWithout(() => true),
  );
  expect(missing.map(({ option }) => option)).toEqual(['CONFIG_NF_TABLES_IPV4']);
});

test('a kernel that refuses the transaction without saying why tells nothing', async () => {
  const error = new RefusedWritesError('EPERM', new Map());
  await expect(findMissingParts('IPv4', { write: () => Promise.reject(error) })).rejects.toBe(error);
});
