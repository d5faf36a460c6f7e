import { FakeIpvs } from '../../../support/fake-ipvs';
import { plan } from '../../../support/plans';
import { makeBackend, nodeAddresses, start, vip, web } from '../in-memory';

describe('what is not ours', () => {
  const foreign = (kernel: FakeIpvs, server: string): void =>
    void kernel.servers.set(server, { options: '-s rr', weights: new Map([['10.1.1.1:80', 1]]) });

  test('stays, and what is on kube-ipvs0 or is a node port of ours is removed', async () => {
    const kernel = new FakeIpvs();
    await start(kernel, plan('IPv4', [web(['10.244.1.2'])], nodeAddresses));
    const ours = ['TCP 10.96.0.10:81', 'TCP 10.96.0.99:80', 'TCP 192.168.88.10:30080'];
    const others = ['TCP 192.0.2.1:80', 'TCP 192.168.88.10:443', 'FWM 7', 'UDP 192.168.88.10:30080'];
    for (const server of [...ours, ...others]) foreign(kernel, server);
    kernel.addresses.add('10.96.0.99');
    await kernel.ipset.run('ipset', ['-exist', 'restore'], { input: 'add KUBE-NODE-PORT-TCP 30080\n' });
    const backend = makeBackend(kernel);
    backend.render(plan('IPv4', [web(['10.244.1.2'])], nodeAddresses));
    await backend.read();
    await backend.apply(backend.diff() ?? []);
    expect([...kernel.servers.keys()].sort()).toEqual([vip, ...others].sort());
    expect([...kernel.addresses]).toEqual(['10.96.0.10']);
  });

  test('a server whose write ended before its address was bound is removed when nobody wants it any more', async () => {
    const kernel = new FakeIpvs();
    const backend = makeBackend(kernel);
    await backend.read();
    backend.render(plan('IPv4', [web(['10.244.1.2'])], nodeAddresses));
    kernel.afterWrite = () => {
      if (kernel.servers.size > 0) throw new Error('no more');
    };
    await expect(backend.apply(backend.diff() ?? [])).rejects.toThrow('no more');
    expect([...kernel.addresses]).toEqual([]);
    kernel.afterWrite = undefined;
    await start(kernel, plan('IPv4', [], nodeAddresses));
    expect([...kernel.servers.keys()]).toEqual([]);
  });

  test('nothing is removed on excluded addresses either', async () => {
    const kernel = new FakeIpvs();
    foreign(kernel, 'TCP 10.1.0.1:80');
    kernel.addresses.add('10.1.0.1');
    await start(kernel, plan('IPv4', [web(['10.244.1.2'])], nodeAddresses), { excludeCIDRs: ['10.1.0.0/16'] });
    expect(kernel.servers.has('TCP 10.1.0.1:80')).toBe(true);
  });
});
