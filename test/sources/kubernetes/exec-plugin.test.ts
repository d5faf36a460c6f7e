import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { ask, client, fake, pathOf, useKubeconfigs, write } from './kubeconfigs';

useKubeconfigs();

describe('a kubeconfig', () => {
  it('may ask an exec plugin, again when its token is refused, and its failure is one line', async () => {
    const server = await fake();
    server.faults.token = 'first';
    const plugin = write('plugin.sh', '');
    const answer = (token: string): void => {
      const credential = {
        apiVersion: 'client.authentication.k8s.io/v1',
        kind: 'ExecCredential',
        status: { token, expirationTimestamp: '2099-01-01T00:00:00Z' },
      };
      writeFileSync(
        plugin,
        `#!/bin/sh\necho "$KUBERNETES_EXEC_INFO" >> ${pathOf('asked')}\necho '${JSON.stringify(credential)}'\n`,
      );
    };
    answer('first');
    chmodSync(plugin, 0o755);
    const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: './plugin.sh', interactiveMode: 'Never' };
    const asked = client({ kubeconfig: write('config', server.kubeconfig({ exec })) });
    await ask(asked);
    await ask(asked);
    expect(readFileSync(pathOf('asked'), 'utf8').split('\n')).toHaveLength(2);
    expect(readFileSync(pathOf('asked'), 'utf8')).toContain('"kind":"ExecCredential"');
    server.faults.token = 'second';
    answer('second');
    await expect(ask(asked)).resolves.toBe(200);
    server.faults.token = 'third';
    writeFileSync(plugin, '#!/bin/sh\necho "log in first\nmore" >&2\nexit 3\n');
    await expect(ask(asked)).rejects.toThrow(/^exec plugin .*plugin\.sh: log in first$/);
  });

  it('gives an exec plugin the whole environment and its env list, as client-go does', async () => {
    const server = await fake();
    server.faults.token = 'theirs';
    const printed = JSON.stringify({ kind: 'ExecCredential', status: { token: 'theirs' } });
    const seen = pathOf('environment');
    const plugin = write('plugin.sh', `#!/bin/sh\nenv > '${seen}'\necho '${printed}'\n`);
    chmodSync(plugin, 0o755);
    process.env['OF_THE_DAEMON'] = 'all of it';
    try {
      const env = [{ name: 'ITS_OWN', value: 'list' }];
      await ask(client({ kubeconfig: write('config', server.kubeconfig({ exec: { command: './plugin.sh', env } })) }));
    } finally {
      delete process.env['OF_THE_DAEMON'];
    }
    const environment = readFileSync(seen, 'utf8');
    for (const text of ['OF_THE_DAEMON=all of it\n', 'ITS_OWN=list\n', 'KUBERNETES_EXEC_INFO={', 'PATH='])
      expect(environment).toContain(text);
  });

  it.each([
    ['nothing', /neither a token nor a certificate$/, '{}'],
    ['not JSON', /not JSON$/, '<html>'],
  ])('an exec plugin that gives %s is one line', async (_, message, printed) => {
    const server = await fake();
    const plugin = write('plugin.sh', `#!/bin/sh\necho '${printed}'\n`);
    chmodSync(plugin, 0o755);
    const kubeconfig = write('config', server.kubeconfig({ exec: { command: './plugin.sh' } }));
    await expect(ask(client({ kubeconfig }))).rejects.toThrow(message);
  });
});
