/** preflight on a node of its own with an API server. Prints what it said and what it left, as JSON. */
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nodes, service } from '../conformance/objects';
import { FakeApiServer } from '../support/fake-api-server';

const [, , command = '', ...flags] = process.argv;
const save = (): string =>
  execFileSync('sh', ['-c', 'iptables-nft-save; ip6tables-nft-save; ipset list -name'], { encoding: 'utf8' });
const withoutComments = (text: string): string => text.replaceAll(/^#.*\n/gm, '');

async function main(): Promise<unknown> {
  const api = await FakeApiServer.start();
  api.put(
    ...[...nodes, service({ type: 'NodePort', ports: [{ port: 80, targetPort: 8080, nodePort: 30080 }] })].map(
      (object) => ({ ...object }),
    ),
  );
  api.faults.denied = ['watch services', 'patch events.k8s.io/events'];
  writeFileSync('/proc/sys/net/ipv4/ip_forward', '0');
  const listener = createServer().listen(30080, '0.0.0.0');
  const folder = mkdtempSync(join(tmpdir(), 'vipwire-preflight-'));
  try {
    writeFileSync(join(folder, 'kubeconfig'), api.kubeconfig());
    execFileSync('iptables-nft', ['-t', 'nat', '-N', 'MINE']);
    const before = withoutComments(save());
    const run = (): Promise<{ code: number; stdout: string; stderr: string }> =>
      new Promise((done) => {
        const args = [command, 'preflight', '--kubeconfig', join(folder, 'kubeconfig'), '-o', 'json', ...flags];
        execFile(process.execPath, args, (error, stdout, stderr) =>
          done({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
        );
      });
    const denied = await run();
    api.faults.denied = ['patch events.k8s.io/events'];
    const allowed = await run();
    return { denied, allowed, leftAlone: withoutComments(save()) === before };
  } finally {
    rmSync(folder, { recursive: true });
    listener.close();
    await api.stop();
  }
}

void main().then((result) => {
  process.stdout.write(JSON.stringify(result));
});
