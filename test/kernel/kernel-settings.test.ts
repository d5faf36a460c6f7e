import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Settings } from '../../src/config/fields';
import { vipwire } from '../support/lab/proxied-node';
import { describeAsRoot, runInNetworkNamespace } from '../support/network-namespace';

interface Told {
  /** What preflight says. */
  readonly unwritable: readonly string[];
  readonly lines: readonly { readonly level: string; readonly msg: string; readonly settings: string }[];
  readonly [value: string]: unknown;
}

async function tell(settings: Settings, rights: 'all' | 'container' | 'nobody'): Promise<Told> {
  const guest = join(__dirname, 'kernel-settings.guest.ts');
  return (await runInNetworkNamespace(guest, JSON.stringify(settings), rights)) as Told;
}

/** More than any kernel has by default. It applies to the whole machine, and a network namespace cannot set it. */
const unreachable = 2 ** 31 - 1;
const settings: Settings = {
  'conntrack.maxPerCore': 1,
  'conntrack.tcpEstablishedTimeout': 1_000_000,
  'conntrack.udpTimeout': 31_000,
  'conntrack.tcpBeLiberal': true,
  oomScoreAdj: 100,
};

describeAsRoot("the kernel's settings, in a network namespace", () => {
  test('what differs is written once, a size that is higher stays, and what cannot be written is logged in one line', async () => {
    const { lines, unwritable, ...values } = await tell({ ...settings, 'conntrack.min': unreachable }, 'all');
    expect(values).toEqual({ established: 1000, closeWait: 3600, udp: 31, liberal: 1, localnet: 1, oom: 100 });
    const [written, ...unmet] = lines;
    expect(written).toEqual({
      level: 'info',
      msg: 'kernel settings written',
      settings:
        'net.netfilter.nf_conntrack_tcp_timeout_established=1000, net.netfilter.nf_conntrack_tcp_timeout_close_wait=3600, ' +
        'net.netfilter.nf_conntrack_udp_timeout=31, net.netfilter.nf_conntrack_tcp_be_liberal=1, ' +
        'net.ipv4.conf.all.route_localnet=1, oom_score_adj=100',
    });
    expect(unmet).toHaveLength(2);
    expect(unmet[0]).toEqual(unmet[1]);
    expect(unmet[0]?.level).toBe('warn');
    const namespace = 'only the first network namespace of the machine may set it \\(hostNetwork: true\\)';
    expect(unmet[0]?.settings).toMatch(
      new RegExp(
        `^net\\.netfilter\\.nf_conntrack_max=2147483647 \\(conntrack\\.min; now \\d+; EACCES: ${namespace}\\), ` +
          `hashsize=536870911 \\(conntrack\\.min; now \\d+; ENOTSUP: ${namespace}\\)$`,
      ),
    );
    expect(unwritable.join(', ')).toMatch(
      new RegExp(
        `^net\\.netfilter\\.nf_conntrack_max=2147483647 .* ${namespace}\\), hashsize=536870911 .* ${namespace}\\)$`,
      ),
    );
    const { lines: withSmallSize } = await tell({ ...settings, 'conntrack.min': 1 }, 'all');
    expect(withSmallSize.map(({ level }) => level)).toEqual(['info']);
  }, 30_000);

  const refused = { ...settings, 'conntrack.min': 1, oomScoreAdj: -999 };

  test.each([
    ['container', 'EROFS: /proc/sys is mounted read-only'],
    ['nobody', 'EACCES: CAP_NET_ADMIN is missing'],
  ] as const)(
    'as %s nothing is written, and one line names all of it with the right that is missing; preflight says it before',
    async (rights, why) => {
      const { lines, unwritable, ...values } = await tell(refused, rights);
      expect(values).toMatchObject({ liberal: 0, localnet: 0, oom: 0 });
      expect(lines).toHaveLength(2);
      const said = lines[0]?.settings ?? '';
      expect(said.split(why)).toHaveLength(6);
      expect(said).toContain(`route_localnet=1 (iptables.localhostNodePorts; now 0; ${why})`);
      expect(said).toContain('oom_score_adj=-999 (oomScoreAdj; now 0; EACCES: CAP_SYS_RESOURCE is missing)');
      expect(unwritable.filter((line) => line.startsWith('net.'))).toHaveLength(5);
      expect(unwritable).toContain(`net.ipv4.conf.all.route_localnet=1 (now 0; ${why})`);
    },
    30_000,
  );

  test('--init-only sets them and exits, without an API server', async () => {
    const flags = ['--init-only', '--conntrack-max-per-core=0', '--conntrack-tcp-timeout-established=1000s'];
    const script =
      'echo 0 >/proc/sys/net/ipv4/conf/all/route_localnet && "$@" && cat /proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established';
    const { stdout, stderr } = await promisify(execFile)('unshare', [
      ...['--net', 'sh', '-c', script, 'sh'],
      ...vipwire,
      ...flags,
    ]);
    expect(stdout).toBe('1000\n');
    expect(stderr).toContain('net.ipv4.conf.all.route_localnet=1');
    expect(stderr).not.toContain('oom_score_adj');
    expect(stderr.trimEnd().split('\n').at(-1)).toMatch(/the node is prepared/);
  });
});
