import { join, resolve } from 'node:path';
import type { Finding } from '../../src/machine/finding';
import { describeAsRoot, runInNetworkNamespace } from '../support/network-namespace';

interface Answer {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function ask(...flags: string[]): Promise<{ denied: Answer; allowed: Answer; leftAlone: boolean }> {
  const guest = join(__dirname, 'preflight.guest.ts');
  const told = await runInNetworkNamespace(guest, resolve('dist/vipwire.cjs'), '--hostname-override=node', ...flags);
  return told as Awaited<ReturnType<typeof ask>>;
}

/** `LEVEL what`, by check. */
function findings({ stdout }: Answer): Record<string, string> {
  const { findings } = JSON.parse(stdout) as { findings: readonly Finding[] };
  return Object.fromEntries(findings.map(({ check, level, what }) => [check, `${level} ${what}`]));
}

describeAsRoot('preflight', () => {
  test('looks at the machine and the cluster, and leaves both as they were', async () => {
    const { denied, allowed, leftAlone } = await ask('--iptables-variant=nft');
    expect(leftAlone).toBe(true);
    expect({ ...denied, stdout: '' }).toEqual({ code: 1, stdout: '', stderr: '' });
    expect(findings(denied)).toMatchObject({
      permissions: 'warn not: patch events.k8s.io/events; no events on the Node',
    });
    expect(denied.stdout).toContain('not: watch services');
    expect(allowed.code).toBe(0);
    expect(findings(allowed)).toMatchObject({
      capabilities: 'ok NET_ADMIN, NET_RAW',
      iptables: expect.stringMatching(/^ok nft v\d.*: IPv4, IPv6$/) as string,
      'kernel settings': 'ok as the configuration asks, or can be written',
      forwarding: 'warn IPv4 is off: nothing passes between pods and the network',
      Node: expect.stringMatching(/^ok node: 192\.168\.88\.10/) as string,
      NodePorts: 'warn also taken by sockets of this node: default/web 30080/TCP (a socket on 0.0.0.0:30080)',
      'ephemeral ports': expect.stringMatching(/^ok /) as string,
    });
  }, 30_000);

  test('a mistake of the user is one line and exit 2', async () => {
    const { denied } = await ask('--proxy-mode=none');
    expect(denied.code).toBe(2);
    expect(denied.stderr).toMatch(/^vipwire: .*none.*\n$/);
  }, 30_000);
});
