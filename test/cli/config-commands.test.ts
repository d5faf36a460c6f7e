import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Bundle } from './bundle';

let bundle: Bundle;
beforeAll(() => {
  bundle = Bundle.make();
});
afterAll(() => bundle.remove());

const head = 'apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n';

function write(name: string, body: string): string {
  writeFileSync(join(bundle.folder, name), head + body);
  return name;
}

describe('config check', () => {
  test('says what is wrong, and where', async () => {
    const file = write('wrong.yaml', 'mode: ipvz\niptable: {}\niptables: {masqueradeBit: 50}\nclusterCIDR: 7\n');
    const { code, stdout, stderr } = await bundle.run(['config', 'check', file]);
    expect({ code, stderr }).toEqual({ code: 2, stderr: '' });
    expect(stdout).toBe(`wrong.yaml: wrong: vipwire does not start with it

wrong
  line 3  mode                    there is no mode "ipvz": did you mean ipvs?
  line 5  iptables.masqueradeBit  50 is not between 0 and 31
  line 6  clusterCIDR             want text, found 7

to be known
  line 4  iptable  there is no such field, so it is ignored: did you mean iptables?

other than the default
  line 3  mode                    ipvz  How the kernel is programmed: iptables, ipvs or nftables
  line 5  iptables.masqueradeBit  50    Bit of the packet mark that asks for masquerading, 0-31
`);
  });

  test('says what each field does that is not at its default, by standard input too', async () => {
    const input = `${head}mode: ""
clusterCIDR: 10.244.0.0/16
iptables: {masqueradeAll: true, syncPeriod: 30s}
portRange: 1-2
featureGates: {Other: true}
`;
    const { code, stdout } = await bundle.run(['config', 'check', '-'], { input });
    expect(code).toBe(0);
    expect(stdout).toBe(`standard input: good: vipwire starts with it, in mode iptables

to be known
  line 7  featureGates  Other has no effect here

other than the default
  line 4  clusterCIDR             10.244.0.0/16  The pods' addresses, one CIDR per family
  line 5  iptables.masqueradeAll  true           Masquerade all traffic to cluster IPs
  line 6  portRange               1-2            no effect here: only for the userspace mode, which kube-proxy had until 1.25
  line 7  featureGates            Other=true     AllowServiceExternalIPs=false ignores external IPs; other gates have no effect here
`);
  });

  test.each([
    [['config'], 'vipwire config has one command: vipwire config check FILE'],
    [['config', 'check'], 'vipwire config check needs a file; - is standard input'],
    [['config', 'check', 'a', 'b'], 'unexpected argument "b": vipwire config check takes one file'],
    [['config', 'check', '/nowhere'], "--config: ENOENT: no such file or directory, open '/nowhere'"],
  ])('%j is a mistake', async (args, message) => {
    expect(await bundle.run(args)).toEqual({ code: 2, stdout: '', stderr: `vipwire: ${message}\n` });
  });
});

describe('--write-config-to', () => {
  test('writes what flags say, without the deprecated ports, and it reads back', async () => {
    const flags = ['--proxy-mode=ipvs', '--cluster-cidr=10.0.0.0/8', '--healthz-port=0', '--hostname-override=Node-1'];
    const written = join(bundle.folder, 'written.yaml');
    expect(await bundle.run([...flags, '--write-config-to', written])).toEqual({ code: 0, stdout: '', stderr: '' });
    const text = readFileSync(written, 'utf8');
    expect(text).toContain('\nmode: ipvs\n');
    expect(text).toContain('\nhealthzBindAddress: 0.0.0.0:10256\n');
    expect(text).toContain('\nhostnameOverride: Node-1\n');
    const again = await bundle.run(['--config', written, '--write-config-to=-']);
    expect(again).toEqual({ code: 0, stdout: text, stderr: '' });
  });

  test.each([
    [['--write-config-to=/nowhere/x'], /^vipwire: --write-config-to: ENOENT/],
    [['--write-config-to=-', '--proxy-mode=userspace'], /^vipwire: --proxy-mode: kube-proxy removed userspace in 1.26/],
  ])('%j is a mistake', async (args, message) => {
    const { code, stdout, stderr } = await bundle.run(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(message);
  });
});
