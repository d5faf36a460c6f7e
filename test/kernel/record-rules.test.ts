/** scripts/kind/record-rules with the real tools on kernels that have kube-proxy's rules: `vipwire compare` reads what it prints. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readRecordings } from '../compare/recordings';
import { withoutCounters } from '../support/kube-proxy-rules';
import { vipwire } from '../support/lab/proxied-node';
import { describeAsRoot } from '../support/network-namespace';

const foreign =
  '*nat\n:KUBE-KUBELET-CANARY - [0:0]\n-A POSTROUTING -m addrtype ! --dst-type LOCAL -j MASQUERADE\nCOMMIT\n';

const policies = `table inet kindnet-network-policies {
  set podips-v4 { type ipv4_addr; elements = { 10.244.1.2 } }
  chain postrouting {
    type filter hook postrouting priority srcnat - 5; policy accept;
    ct state established,related accept
    ip daddr @podips-v4 counter drop
  }
}
`;

describeAsRoot('record-rules', () => {
  let folder: string;
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'vipwire-record-'))));
  afterEach(() => rmSync(folder, { recursive: true }));

  /** What `vipwire compare` says about it. */
  function record(prepare: string, objects: string): string {
    writeFileSync(join(folder, 'objects.json'), objects);
    const script = `set -o pipefail; ${prepare}; scripts/kind/record-rules | tar -x -C ${folder}`;
    execFileSync('unshare', ['--net', '--', 'bash', '-ec', script], { env: { ...process.env, FOLDER: folder } });
    const cluster = ['-f', join(folder, 'objects.json'), '--node', 'node', '--cluster-cidr', '10.244.0.0/16,fd44::/16'];
    const [program = '', ...args] = vipwire;
    return execFileSync(program, [...args, 'compare', ...cluster, '--recorded-dir', folder], { encoding: 'utf8' });
  }

  test.each(['nft', 'legacy'])('iptables, %s: the variant that holds the rules', (variant) => {
    const { iptablesSave = '', ip6tablesSave = '', objects } = find('iptables');
    writeFileSync(join(folder, 'rules'), withoutCounters(iptablesSave));
    writeFileSync(join(folder, 'rules6'), withoutCounters(ip6tablesSave));
    const restore = `iptables-${variant}-restore <$FOLDER/rules; ip6tables-${variant}-restore <$FOLDER/rules6`;
    expect(record(restore, objects)).toMatch(/^IPv4, node node, iptables mode: .*: the same\n$/);
    expect(readdirSync(folder)).not.toContain('nft.json');
  });

  test('nftables, together with what the kubelet and a CNI wrote', () => {
    const { nft = '', objects } = find('nftables');
    writeFileSync(join(folder, 'ruleset'), additions(nft));
    writeFileSync(join(folder, 'rules'), foreign);
    writeFileSync(join(folder, 'policies'), policies);
    const restore = 'iptables-nft-restore <$FOLDER/rules; nft -f $FOLDER/policies; nft -j -f $FOLDER/ruleset';
    expect(record(restore, objects)).toMatch(/^IPv4, node node, nftables mode: .*: the same\n$/);
  });
});

function find(mode: 'iptables' | 'nftables'): ReturnType<typeof readRecordings>[number] {
  const recording = readRecordings(mode).find(({ name }) => name === 'nodeport-local.2');
  if (recording === undefined) throw new Error(mode);
  return recording;
}

interface Listed {
  readonly metainfo?: object;
  readonly table?: object;
  readonly chain?: object;
}

/** Turns a listing into commands. What others refer to comes first. */
function additions(listing: string): string {
  const { nftables } = JSON.parse(listing) as { readonly nftables: readonly Listed[] };
  const rank = ({ table, chain }: Listed): number => (table !== undefined ? 0 : chain !== undefined ? 1 : 2);
  const objects = nftables.filter(({ metainfo }) => metainfo === undefined).sort((a, b) => rank(a) - rank(b));
  return JSON.stringify({ nftables: objects.map((add) => ({ add })) });
}
