import { destroySets, SetDriver } from '../../../../src/backends/ipvs/sets/driver';
import { printSetAdditions, printSetRemovals } from '../../../../src/backends/ipvs/sets/ipset-text';
import { SetContents } from '../../../../src/backends/ipvs/sets/contents';
import { CommandError } from '../../../../src/host/command';
import { NetlinkUnavailableError } from '../../../../src/host/netlink';
import { FakeIpset } from '../../../support/fake-ipset';

const withoutAddon = (): Promise<never> => Promise.reject(new NetlinkUnavailableError());
const unlocked = (file: string, args: readonly string[]): { file: string; args: readonly string[] } => ({ file, args });
const errorOf = async (work: Promise<unknown>): Promise<Error> =>
  work.then(
    () => new Error('no error'),
    (error: unknown) => error as Error,
  );

const open = (): { kernel: FakeIpset; driver: SetDriver } => {
  const kernel = new FakeIpset();
  return { kernel, driver: new SetDriver('IPv4', kernel.run, unlocked, withoutAddon) };
};

test('what was written is what is read, and needs no other write', async () => {
  const { kernel, driver } = open();
  const contents = new SetContents('IPv4');
  contents.add('KUBE-CLUSTER-IP', '10.96.0.10,tcp:80');
  contents.add('KUBE-IPVS-LOCAL', '203.0.113.5,tcp:80', 'skbmark 0x100001');
  contents.replaceObserved(await driver.read());
  const writes = contents.pendingWrites();
  if (writes === undefined) throw new Error('nothing to write');
  await driver.restore(printSetAdditions(writes));
  await driver.restore(printSetRemovals(writes));
  expect(kernel.inputs).toHaveLength(1);
  contents.replaceObserved(await driver.read());
  expect(contents.pendingWrites()).toBeUndefined();
});

test("others' sets and the other family's are not asked for", async () => {
  const { kernel, driver } = open();
  await driver.restore('create KUBE-CLUSTER-IP hash:ip,port family inet hashsize 1024 maxelem 65536\n');
  await driver.restore('create KUBE-6-CLUSTER-IP hash:ip,port family inet6 hashsize 1024 maxelem 65536\n');
  await driver.restore('create cali40all-hosts hash:net family inet hashsize 1024 maxelem 1048576\n');
  kernel.inputs.length = 0;
  expect([...(await driver.read()).sets.keys()]).toEqual(['KUBE-CLUSTER-IP']);
  expect(kernel.inputs).toEqual(['save KUBE-CLUSTER-IP\n']);
});

test('writes go under the lock, and one that is held by another is told', async () => {
  const lock = (file: string, args: readonly string[]): { file: string; args: readonly string[] } => ({
    file: 'flock',
    args: ['/run/lock', file, ...args],
  });
  const called: string[] = [];
  const driver = new SetDriver(
    'IPv4',
    (file, args) => {
      called.push([file, ...args].join(' '));
      return Promise.reject(new CommandError(file, { exitCode: 75, stderr: '', durationMs: 1 }));
    },
    lock,
  );
  const error = await errorOf(driver.restore('add KUBE-IPVS-IPS 10.96.0.10\n'));
  expect(error.message).toBe('ipset: exit 75 after 1 ms: another vipwire process holds the write lock');
  expect(called).toEqual(['flock /run/lock ipset -exist restore']);
});

test('protocols are written as numbers, for which the tool needs no /etc/protocols', async () => {
  const { kernel, driver } = open();
  await driver.restore(
    'create KUBE-CLUSTER-IP hash:ip,port family inet hashsize 1024 maxelem 65536\n' +
      'add KUBE-CLUSTER-IP 10.96.0.10,tcp:80\nadd KUBE-CLUSTER-IP 10.96.0.10,udp:80\ndel KUBE-CLUSTER-IP 10.96.0.10,sctp:80\n',
  );
  expect(kernel.inputs[0]?.split('\n').slice(1)).toEqual([
    'add KUBE-CLUSTER-IP 10.96.0.10,6:80',
    'add KUBE-CLUSTER-IP 10.96.0.10,17:80',
    'del KUBE-CLUSTER-IP 10.96.0.10,132:80',
    '',
  ]);
  expect([...(await driver.read()).elements.keys()]).toEqual([
    'KUBE-CLUSTER-IP 10.96.0.10,tcp:80',
    'KUBE-CLUSTER-IP 10.96.0.10,udp:80',
  ]);
});

test('what netlink tells is believed, and its errors are told', async () => {
  const { kernel } = open();
  const saved = { sets: new Map([['KUBE-NODE-PORT-TCP', 'bitmap:port range 0-65535']]), elements: new Map() };
  expect(await new SetDriver('IPv4', kernel.run, unlocked, () => Promise.resolve(saved)).read()).toBe(saved);
  const failing = new SetDriver('IPv4', kernel.run, unlocked, () => Promise.reject(new Error('netlink: EPERM')));
  expect((await errorOf(failing.read())).message).toBe('netlink: EPERM');
});

test('a set of our name that another program made is told, with what it is', async () => {
  const { kernel, driver } = open();
  kernel.sets.set('KUBE-CLUSTER-IP', { parameters: 'hash:ip family inet hashsize 64 maxelem 9', elements: new Map() });
  kernel.sets.set('KUBE-IPVS-IPS', { parameters: 'hash:net family inet hashsize 64 maxelem 9', elements: new Map() });
  expect((await errorOf(driver.read())).message).toBe(
    'ipset KUBE-CLUSTER-IP (and 1 more) is "hash:ip family inet maxelem 9", not "hash:ip,port family inet maxelem 65536": another program made it; remove it (ipset destroy KUBE-CLUSTER-IP)',
  );
});

describe('one line says what to do', () => {
  const add = 'add KUBE-IPVS-IPS 10.96.0.10\n';

  test('where there is no tool', async () => {
    const { kernel, driver } = open();
    kernel.isMissing = true;
    const messages = [await errorOf(driver.read()), await errorOf(driver.restore(add))].map(({ message }) => message);
    expect(messages).toEqual(Array(2).fill('ipset: not found: install the ipset package'));
  });

  test('where the kernel has no ip_set', async () => {
    const { kernel, driver } = open();
    kernel.hasKernel = false;
    expect((await errorOf(driver.read())).message).toContain('no ip_set: run `modprobe ip_set` on the node');
  });

  test('where the kernel has no such type of set', async () => {
    const unable = new SetDriver(
      'IPv4',
      () =>
        Promise.reject(
          new CommandError('ipset', {
            exitCode: 1,
            stderr: 'ipset v7.17: Error in line 2: Kernel error received: set type not supported\n',
            durationMs: 1,
          }),
        ),
      unlocked,
    );
    const create = 'create KUBE-LOAD-BALANCER-SOURCE-CIDR hash:ip,port,net family inet hashsize 1024 maxelem 65536';
    expect((await errorOf(unable.restore(`${add}${create}\n`))).message).toBe(
      `ipset: exit 1 after 1 ms: the kernel has no such sets: run \`modprobe ip_set_hash_ipportnet\` on the node (${create})`,
    );
  });

  test('where a line is refused', async () => {
    const { driver } = open();
    expect((await errorOf(driver.restore(add))).message).toBe(
      'ipset: exit 1 after 1 ms: The set with the given name does not exist (add KUBE-IPVS-IPS 10.96.0.10)',
    );
  });
});

describe('cleanup', () => {
  const names = ['KUBE-CLUSTER-IP', 'KUBE-6-CLUSTER-IP', 'KUBE-IPVS-IPS', 'KUBE-IPVS-LOCAL', 'KUBE-LOOP-BACK-BIG'];
  const filled = (): FakeIpset => {
    const { kernel } = open();
    for (const name of [...names, 'cali40all-hosts'])
      kernel.sets.set(name, { parameters: 'hash:ip', elements: new Map([['10.96.0.10', '']]) });
    return kernel;
  };

  test('takes the sets of both families, and no others', async () => {
    const kernel = filled();
    expect(await destroySets(kernel.run)).toEqual({ destroyed: names, inUse: [] });
    expect([...kernel.sets.keys()]).toEqual(['cali40all-hosts']);
    expect(await destroySets(kernel.run)).toEqual({ destroyed: [], inUse: [] });
  });

  test('a set that rules still match stays, and is told', async () => {
    const kernel = filled();
    kernel.inUse.add('KUBE-6-CLUSTER-IP').add('KUBE-LOOP-BACK-BIG');
    expect(await destroySets(kernel.run)).toEqual({
      destroyed: ['KUBE-CLUSTER-IP', 'KUBE-IPVS-IPS', 'KUBE-IPVS-LOCAL'],
      inUse: ['KUBE-6-CLUSTER-IP', 'KUBE-LOOP-BACK-BIG'],
    });
  });

  test('what else fails is told', async () => {
    const kernel = filled();
    kernel.failures = 1;
    expect((await errorOf(destroySets(kernel.run))).message).toContain('Resource temporarily unavailable');
  });
});
