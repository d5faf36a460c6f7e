import { readSysctl, SysctlError, writeSysctl } from '../../src/host/sysctl';

test('reads, and leaves a value alone that is right', async () => {
  const value = await readSysctl('net/ipv4/ip_default_ttl');
  expect(value).toMatch(/^\d+$/);
  await expect(writeSysctl('net/ipv4/ip_default_ttl', value)).resolves.toBe(false);
});

test('says what is wrong', async () => {
  const missing: unknown = await readSysctl('net/ipv4/no_such_setting').catch((error: unknown) => error);
  expect(missing).toBeInstanceOf(SysctlError);
  expect(missing).toMatchObject({ kind: 'missing', message: 'sysctl net/ipv4/no_such_setting: missing' });
  await expect(writeSysctl('net/ipv4/no_such_setting', '1')).rejects.toMatchObject({ kind: 'missing' });
  // Nobody may write this one.
  await expect(writeSysctl('kernel/ostype', 'Minix')).rejects.toMatchObject({ kind: 'not permitted', code: 'EACCES' });
});
