import { findXtablesLockHolder, holderOf } from '../../src/host/xtables-lock';

const locks = [
  '1: POSIX  ADVISORY  READ  700 fe:00:4711 0 EOF',
  '2: FLOCK  ADVISORY  WRITE 11032 fe:00:4711 0 EOF',
  '2: -> FLOCK  ADVISORY  WRITE 11033 fe:00:4711 0 EOF',
  '3: FLOCK  ADVISORY  WRITE -1 00:17:4712 0 EOF',
].join('\n');

test('who holds a lock is told, and not who waits for it', () => {
  expect(holderOf(locks, 4711)).toBe(11032);
  // Of another PID namespace.
  expect(holderOf(locks, 4712)).toBe(0);
  expect(holderOf(locks, 4713)).toBeUndefined();
});

test('nobody, where there is no lock file', async () => {
  expect(await findXtablesLockHolder('/nowhere/xtables.lock')).toBeUndefined();
});
