import { execFileSync } from 'node:child_process';
import { createServer } from 'node:net';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { ClusterWarning } from '../../../src/model/cluster';
import { ClusterStore } from '../../../src/model/cluster-store';
import { UserError } from '../../../src/model/user-error';
import type { ManifestOptions } from '../../../src/sources/manifests/manifest-source';
import { ManifestSource } from '../../../src/sources/manifests/manifest-source';
import { until } from '../../support/until';

function manifest(...names: string[]): string {
  return names
    .map((name) => `kind: Service\nmetadata: {name: ${name}}\nspec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}\n`)
    .join('---\n');
}

let folder: string;
const running: ManifestSource[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'manifests-'));
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((source) => source.stop()));
  await rm(folder, { recursive: true });
});

const at = (...parts: string[]): string => join(folder, ...parts);

class Heard {
  readonly store = new ClusterStore(0);
  readonly warnings: ClusterWarning[] = [];
  synced = 0;
  applied = 0;

  services(): string {
    return [...this.store.services.values()]
      .map(({ name }) => name)
      .sort()
      .join(' ');
  }

  kinds(): string[] {
    return this.warnings.map(({ kind }) => kind);
  }
}

async function follow(options: Partial<ManifestOptions> = {}): Promise<Heard> {
  const source = await ManifestSource.open({ paths: [folder], watch: true, ...options });
  const heard = new Heard();
  source.start({
    apply: (changes) => {
      heard.applied++;
      heard.store.apply(changes);
    },
    warn: (warning) => heard.warnings.push(warning),
    synced: () => heard.synced++,
  });
  running.push(source);
  return heard;
}

describe('reading', () => {
  test('files, folders at any depth by ending, and texts', async () => {
    await mkdir(at('deep', 'deeper'), { recursive: true });
    await mkdir(at('.hidden'));
    await writeFile(at('a.yaml'), manifest('a'));
    await writeFile(at('deep', 'b.yml'), manifest('b'));
    await writeFile(
      at('deep', 'deeper', 'c.json'),
      JSON.stringify({ kind: 'Service', metadata: { name: 'c' }, spec: { clusterIP: '10.96.0.3' } }),
    );
    await writeFile(at('ignored.txt'), manifest('ignored'));
    await writeFile(at('.hidden', 'ignored.yaml'), manifest('ignored'));
    await symlink(folder, at('deep', 'loop'));
    const named = at('named');
    await writeFile(named, manifest('named'));
    const texts = [{ path: 'standard input', text: manifest('typed') }];
    const heard = await follow({ paths: [folder, named], texts, watch: false });
    expect(heard.services()).toBe('a b c named typed');
    expect(heard).toMatchObject({ synced: 1, applied: 1, warnings: [] });
  });

  test('an object in two files is that of the last, with a warning', async () => {
    await writeFile(at('1.yaml'), manifest('web'));
    await writeFile(at('2.yaml'), manifest('web').replace('port: 80', 'port: 81'));
    const heard = await follow({ watch: false });
    expect([...heard.store.services.values()].map(({ ports }) => ports[0]?.port)).toEqual([81]);
    expect(heard.kinds()).toEqual(['duplicate']);
  });

  test('a path that is not there is the mistake of who named it', async () => {
    const opened = ManifestSource.open({ paths: [folder, at('missing.yaml')], watch: false });
    await expect(opened).rejects.toThrow(UserError);
    await expect(opened).rejects.toThrow(`cannot read manifests: ${at('missing.yaml')}: no such file or folder`);
  });

  test('a file that does not parse is the mistake of who named it: half of a cluster is none', async () => {
    await writeFile(at('a.yaml'), manifest('a'));
    await writeFile(at('b.yaml'), 'kind: [');
    const opened = ManifestSource.open({ paths: [folder], watch: false });
    await expect(opened).rejects.toThrow(UserError);
    await expect(opened).rejects.toThrow(/b\.yaml:1:\d+: /);
  });

  test('what lies in a folder and cannot be read is a line each, and the rest is read', async () => {
    await writeFile(at('a.yaml'), manifest('a'));
    execFileSync('mkfifo', [at('pipe.yaml')]);
    await symlink('/dev/zero', at('device.yaml'));
    await symlink('nowhere', at('dangling.yaml'));
    await symlink('loop.yaml', at('loop.yaml'));
    await writeFile(at('utf16.yaml'), Buffer.from(manifest('u'), 'utf16le'));
    await writeFile(at('deep.json'), `${'{"kind":"List","items":['.repeat(3000)}${']}'.repeat(3000)}`);
    await writeFile(at('z.yaml'), manifest('z'));
    const server = createServer().listen(at('socket.yaml'));
    const heard = await follow({ watch: false });
    server.close();
    expect(heard.services()).toBe('a z');
    expect(heard.warnings.map(({ object, message }) => `${basename(object)}: ${message}`).sort()).toEqual([
      'dangling.yaml: cannot be read: ENOENT',
      'deep.json: 1:1: nested more than 300 deep: not read',
      'device.yaml: cannot be read: it is a device',
      'loop.yaml: cannot be read: ELOOP',
      'pipe.yaml: cannot be read: it is a named pipe',
      'socket.yaml: cannot be read: it is a socket',
      'utf16.yaml: cannot be read: it is UTF-16 without a byte order mark: save it as UTF-8',
    ]);
  });

  test('a pipe that is named is read, as that of <(kubectl get ...) is', async () => {
    execFileSync('mkfifo', [at('pipe')]);
    const writing = writeFile(at('pipe'), manifest('piped'));
    const heard = await follow({ paths: [at('pipe')], watch: false });
    await writing;
    expect(heard.services()).toBe('piped');
  });

  test.each([
    ['UTF-16, as PowerShell writes it', [0xff, 0xfe], 'utf16le'],
    ['UTF-8', [0xef, 0xbb, 0xbf], 'utf8'],
  ] as const)('%s with its byte order mark is read', async (_what, mark, encoding) => {
    await writeFile(at('a.yaml'), Buffer.concat([Buffer.from(mark), Buffer.from(manifest('a'), encoding)]));
    const heard = await follow({ watch: false });
    expect(heard).toMatchObject({ warnings: [] });
    expect(heard.services()).toBe('a');
  });

  test('UTF-16 of the other byte order is read', async () => {
    const bytes = Buffer.from(`\uFEFF${manifest('a')}`, 'utf16le').swap16();
    await writeFile(at('a.yaml'), bytes);
    expect((await follow({ watch: false })).services()).toBe('a');
  });

  test('nothing at all is in sync too', async () => {
    expect(await follow({ watch: false })).toMatchObject({ synced: 1, applied: 0, warnings: [] });
  });
});

describe('watching', () => {
  test('files that are written, come and go', async () => {
    await writeFile(at('a.yaml'), manifest('a'));
    const heard = await follow();
    expect(heard.services()).toBe('a');
    await writeFile(at('a.yaml'), manifest('a', 'a2'));
    await until(() => heard.services() === 'a a2');
    await writeFile(at('b.yaml'), manifest('b'));
    await until(() => heard.services() === 'a a2 b');
    await rm(at('a.yaml'));
    await until(() => heard.services() === 'b');
    await mkdir(at('new'));
    await writeFile(at('new', 'c.yaml'), manifest('c'));
    await until(() => heard.services() === 'b c');
    await writeFile(at('new', 'c.yaml'), manifest('d'));
    await until(() => heard.services() === 'b d');
    expect(heard).toMatchObject({ synced: 1, warnings: [] });
  });

  test('a named file that an editor replaces, again and again', async () => {
    const path = at('web.yaml');
    await writeFile(path, manifest('v0'));
    const heard = await follow({ paths: [path] });
    for (const version of ['v1', 'v2', 'v3']) {
      await writeFile(at('web.yaml.new'), manifest(version));
      await rename(at('web.yaml.new'), path);
      await until(() => heard.services() === version);
    }
  });

  test.each([
    ['the folder', (): string => folder],
    ['a file in it', (): string => at('web.yaml')],
  ])('a ConfigMap volume that swaps its link, by %s', async (_what, path) => {
    await mkdir(at('..v0'));
    await writeFile(at('..v0', 'web.yaml'), manifest('v0'));
    await symlink('..v0', at('..data'));
    await symlink('..data/web.yaml', at('web.yaml'));
    const heard = await follow({ paths: [path()] });
    expect(heard.services()).toBe('v0');
    for (const version of ['v1', 'v2']) {
      await mkdir(at(`..${version}`));
      await writeFile(at(`..${version}`, 'web.yaml'), manifest(version));
      await symlink(`..${version}`, at('..data_tmp'));
      await rename(at('..data_tmp'), at('..data'));
      await until(() => heard.services() === version);
    }
    expect(heard.warnings).toEqual([]);
  });

  test('a file with a mistake keeps what it gave, and is warned about once', async () => {
    await writeFile(at('a.yaml'), manifest('a'));
    const heard = await follow();
    await writeFile(at('a.yaml'), 'kind: [');
    await until(() => heard.kinds().includes('bad-manifest'));
    expect(heard.services()).toBe('a');
    const warned = heard.warnings.length;
    await writeFile(at('b.yaml'), manifest('b'));
    await until(() => heard.services() === 'a b');
    expect(heard.warnings).toHaveLength(warned);
    await writeFile(at('a.yaml'), manifest('c'));
    await until(() => heard.services() === 'b c');
  });

  test('a named file that goes takes its objects along, and may come back', async () => {
    const path = at('web.yaml');
    await writeFile(path, manifest('web'));
    const heard = await follow({ paths: [path] });
    await rm(path);
    await until(() => heard.services() === '');
    expect(heard.kinds()).toEqual(['unreadable']);
    await writeFile(path, manifest('web'));
    await until(() => heard.services() === 'web');
  });

  // Not by its mode, for root reads everything: a link to itself nobody can read.
  test.each([
    ['file', 'sub/a.yaml'],
    ['folder', 'sub'],
  ])('a %s that is there and cannot be read keeps its objects', async (_what, name) => {
    await mkdir(at('sub'));
    await writeFile(at('sub', 'a.yaml'), manifest('a'));
    const heard = await follow({ paths: [at('sub')] });
    await rename(at(name), at('.aside'));
    await symlink(at(name), at(name));
    await until(() => heard.kinds().includes('unreadable'));
    expect(heard.services()).toBe('a');
    await rm(at(name));
    await until(() => heard.services() === '');
  });

  test('an object that is told as it was costs nobody anything', async () => {
    await writeFile(at('a.yaml'), manifest('a'));
    const heard = await follow();
    heard.store.takeChanged();
    await writeFile(at('a.yaml'), `# A comment.\n${manifest('a')}`);
    await until(() => heard.applied === 2);
    expect(heard.store.takeChanged().services.size).toBe(0);
  });

  test('not after the stop', async () => {
    await writeFile(at('a.yaml'), manifest('a'));
    const heard = await follow();
    await running.pop()?.stop();
    await writeFile(at('a.yaml'), manifest('b'));
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(heard.services()).toBe('a');
  });
});
