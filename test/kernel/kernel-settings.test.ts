import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Settings } from '../../src/config/fields';
import { vipwire } from '../support/lab/proxied-node';
import { describeAsRoot, runInNetworkNamespace } from '../support/network-namespace';

interface Told {
  readonly lines: readonly { readonly level: string; readonly msg: string; readonly settings: string }[];
  readonly [value: string]: unknown;
}

async function tell(settings: Settings, rights: 'all' | 'few'): Promise<Told> {
  const guest = join(__dirname, 'kernel-settings.guest.ts');
  return (await runInNetworkNamespace(guest, JSON.stringify(settings), rights)) as Told;
}

/** More than any kernel has by itself: a number of the whole machine, which a network namespace cannot set. */
const unreachable = 2 ** 31 - 1;
const settings: Settings = {
  'conntrack.maxPerCore': 1,
  'conntrack.tcpEstablishedTimeout': 1_000_000,
  'conntrack.udpTimeout': 31_000,
  'conntrack.tcpBeLiberal': true,
  oomScoreAdj: 100,
};

describeAsRoot("the kernel's settings, in a network namespace", () => {
  test('what differs is written, once; a size that is higher stays; what cannot be written is one line', async () => {
    const { lines, ...values } = await tell({ ...settings, 'conntrack.min': unreachable }, 'all');
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
    expect(unmet[0]?.settings).toMatch(
      /^net\.netfilter\.nf_conntrack_max=2147483647 \(conntrack\.min; now \d+, read-only\), hashsize=536870911 \(conntrack\.min; now \d+, read-only\)$/,
    );
    const { lines: withSmallSize } = await tell({ ...settings, 'conntrack.min': 1 }, 'all');
    expect(withSmallSize.map(({ level }) => level)).toEqual(['info']);
  });

  test('without rights nothing is written, and one line names all of it', async () => {
    const { lines, ...values } = await tell({ ...settings, 'conntrack.min': 1, oomScoreAdj: -999 }, 'few');
    expect(values).toMatchObject({ liberal: 0, localnet: 0, oom: 0 });
    expect(lines).toHaveLength(2);
    expect(lines[0]?.settings.match(/read-only/g)).toHaveLength(6);
    expect(lines[0]?.settings).toContain('route_localnet=1 (iptables.localhostNodePorts; now 0, read-only)');
    expect(lines[0]?.settings).toContain('oom_score_adj=-999 (oomScoreAdj; now 0, read-only)');
  });

  test('--init-only sets them, and ends, without an API server', async () => {
    const flags = ['--init-only', '--conntrack-max-per-core=0', '--conntrack-tcp-timeout-established=1000s'];
    const script = '"$@" && cat /proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established';
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
