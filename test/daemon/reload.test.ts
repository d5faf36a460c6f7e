import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Reload } from '../../src/daemon/reload';
import { effectiveConfiguration, type EffectiveConfiguration, type FlagSettings } from '../../src/config/effective';
import { readTextFile } from '../../src/host/files';
import { UserError } from '../../src/model/user-error';
import { createLogger } from '../../src/telemetry/logger';
import { parseLogLine } from '../support/log-lines';
import { until } from '../support/until';

const head = 'apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n';

/** A file that is followed, and what came of it. */
class Followed {
  readonly folder = mkdtempSync(join(tmpdir(), 'vipwire-reload-'));
  readonly file = join(this.folder, 'config.conf');
  readonly applied: EffectiveConfiguration[] = [];
  readonly parts: string[][] = [];
  readonly results: string[] = [];
  lines: string[] = [];
  refuse: string | undefined;
  busy: Promise<void> = Promise.resolve();
  isInForce = true;
  private reload: Reload | undefined;

  async start(body: string, flags: Partial<FlagSettings> = {}): Promise<this> {
    this.write(body);
    return this.follow(flags);
  }

  async follow(given: Partial<FlagSettings> = {}): Promise<this> {
    const flags: FlagSettings = {
      configFile: this.file,
      master: '',
      settings: {},
      names: {},
      precedence: 'file',
      mayBreakRules: false,
      ...given,
    };
    this.reload = new Reload({
      flags,
      effective: await effectiveConfiguration(flags, readTextFile),
      apply: async (next, parts) => {
        if (this.refuse !== undefined) throw new UserError(this.refuse);
        this.applied.push(next);
        this.parts.push([...parts].sort());
        await this.busy;
        return this.isInForce;
      },
      onDone: (result) => this.results.push(result),
      log: createLogger({ verbosity: 0, format: 'json' }, (line) => this.lines.push(wordsOf(line))),
    });
    this.reload.start();
    return this;
  }

  ask(): void {
    this.reload?.ask();
  }

  write(body: string): void {
    writeFileSync(this.file, head + body);
  }

  /** Resolves when so many changes were dealt with. */
  async dealtWith(count: number): Promise<void> {
    await until(() => this.results.length >= count);
    // What should not come would come now.
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(this.results).toHaveLength(count);
  }

  stop(): void {
    this.reload?.stop();
    rmSync(this.folder, { recursive: true });
  }
}

function wordsOf(line: string): string {
  const { level, msg, fields, reason } = parseLogLine(line);
  return [level, msg, fields, reason].filter(Boolean).join(' | ');
}

let followed: Followed;
beforeEach(() => {
  followed = new Followed();
});
afterEach(() => followed.stop());

describe('a change is applied', () => {
  test('that was written', async () => {
    await followed.start('clusterCIDR: 10.0.0.0/8\n');
    followed.write('clusterCIDR: 11.0.0.0/8\nlogging: {verbosity: 4}\n');
    await followed.dealtWith(1);
    expect(followed.results).toEqual(['applied']);
    expect(followed.parts).toEqual([['log', 'planning']]);
    expect(followed.applied[0]?.configuration).toMatchObject({ clusterCIDRs: ['11.0.0.0/8'] });
    expect(followed.lines).toEqual(['info | the changed configuration is in force | clusterCIDR, logging.verbosity']);
  });

  test('that came by a rename, and another after it', async () => {
    await followed.start('mode: iptables\n');
    for (const [n, mode] of ['ipvs', 'iptables'].entries()) {
      writeFileSync(join(followed.folder, 'new'), `${head}mode: ${mode}\n`);
      renameSync(join(followed.folder, 'new'), followed.file);
      await followed.dealtWith(n + 1);
    }
    expect(followed.applied.map(({ configuration }) => configuration.mode)).toEqual(['ipvs', 'iptables']);
  });

  test("that came by a ConfigMap's links", async () => {
    const { folder } = followed;
    const version = (name: string, body: string): void => {
      mkdirSync(join(folder, name));
      writeFileSync(join(folder, name, 'config.conf'), head + body);
      symlinkSync(name, join(folder, '..data_tmp'));
      renameSync(join(folder, '..data_tmp'), join(folder, '..data'));
    };
    version('..1', 'clusterCIDR: 10.0.0.0/8\n');
    symlinkSync('..data/config.conf', followed.file);
    await followed.follow();
    version('..2', 'clusterCIDR: 11.0.0.0/8\n');
    rmSync(join(folder, '..1'), { recursive: true });
    await followed.dealtWith(1);
    version('..3', 'clusterCIDR: 12.0.0.0/8\n');
    await followed.dealtWith(2);
    expect(followed.applied.at(-1)?.configuration.clusterCIDRs).toEqual(['12.0.0.0/8']);
  });

  test('one at a time, and the last one counts', async () => {
    await followed.start('oomScoreAdj: 1\n');
    let finish: (() => void) | undefined;
    followed.busy = new Promise((resolve) => (finish = resolve));
    followed.write('oomScoreAdj: 2\n');
    await until(() => followed.applied.length === 1);
    for (const value of [3, 4]) followed.write(`oomScoreAdj: ${value}\n`);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(followed.applied).toHaveLength(1);
    finish?.();
    await followed.dealtWith(2);
    expect(followed.applied.at(-1)?.configuration.oomScoreAdj).toBe(4);
  });
});

test('who asks is told what the file comes to, each time, and an unwatched change is found', async () => {
  await followed.start('mode: iptables\n');
  const same = 'info | the configuration file says what is in force already';
  for (const lines of [[same], [same, same]]) {
    followed.ask();
    await until(() => followed.lines.length === lines.length);
    expect(followed.lines).toEqual(lines);
  }
  followed.lines = [];
  followed.write('mode: nothing\n');
  await followed.dealtWith(1);
  followed.ask();
  await followed.dealtWith(2);
  expect(followed.results).toEqual(['refused', 'refused']);
  expect(followed.lines).toHaveLength(2);
});

describe('nothing is done', () => {
  test('where a change says nothing else, or what flags say', async () => {
    await followed.start('hostnameOverride: a\n', { settings: { hostnameOverride: 'flag' } });
    followed.write('# a word\nhostnameOverride: b\n');
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(followed.results).toEqual([]);
    expect(followed.lines).toEqual([]);
  });

  test('after a bad file: one line, and the next good one counts', async () => {
    await followed.start('mode: iptables\n');
    followed.write('mode: iptabels\noomScoreAdj: 5000\n');
    await followed.dealtWith(1);
    expect(followed.results).toEqual(['refused']);
    expect(followed.applied).toEqual([]);
    expect(followed.lines).toHaveLength(1);
    expect(followed.lines[0]).toMatch(/^error \| the changed configuration is refused; the one in force stays \| /);
    expect(followed.lines[0]).toContain(`config.conf:3: mode: there is no mode "iptabels": did you mean iptables?`);
    expect(followed.lines[0]).toContain('config.conf:4: oomScoreAdj: 5000 is not between');
    followed.write('mode: iptables\n');
    await until(() => followed.lines.length === 2);
    expect(followed.lines[1]).toBe('info | the configuration file says again what is in force');
    followed.write('mode: ipvs\n');
    await followed.dealtWith(2);
    expect(followed.applied).toHaveLength(1);
  });

  test('where the daemon cannot: the next change is compared with what is in force', async () => {
    await followed.start('mode: iptables\n');
    followed.refuse = 'the kernel has no IPVS';
    followed.write('mode: ipvs\n');
    await followed.dealtWith(1);
    expect(followed.lines[0]).toContain('stays | the kernel has no IPVS');
    followed.refuse = undefined;
    followed.write('mode: ipvs\nclusterCIDR: 10.0.0.0/8\n');
    await followed.dealtWith(2);
    expect(followed.parts).toEqual([['machine', 'planning', 'schedule']]);
  });

  test('without a file: one line', async () => {
    await followed.start('mode: iptables\n');
    unlinkSync(followed.file);
    await until(() => followed.lines.length > 0);
    expect(followed.lines[0]).toMatch(/^error \| the configuration cannot be read; the one in force stays \| ENOENT/);
    followed.write('mode: ipvs\n');
    await followed.dealtWith(1);
    expect(followed.results).toEqual(['applied']);
  });
});

test('what is not in force yet is told so', async () => {
  await followed.start('');
  followed.isInForce = false;
  followed.write('mode: ipvs\n');
  await followed.dealtWith(1);
  expect(followed.lines).toEqual([
    'warn | the changed configuration is taken, but its rules are not in force yet | mode',
  ]);
});

test('what takes a restart is named, and stays as it is; the rest is applied', async () => {
  await followed.start('clientConnection: {kubeconfig: /a}\n');
  followed.write('clientConnection: {kubeconfig: /b}\nclusterCIDR: 10.0.0.0/8\n');
  await followed.dealtWith(1);
  expect(followed.parts).toEqual([['planning']]);
  expect(followed.applied[0]?.configuration).toMatchObject({ kubeconfig: '/a', clusterCIDRs: ['10.0.0.0/8'] });
  expect(followed.lines).toEqual([
    'info | the changed configuration is in force | clusterCIDR',
    'warn | these fields changed too, and take a restart: restart vipwire for them | clientConnection.kubeconfig',
  ]);
  followed.write('clientConnection: {kubeconfig: /a}\nclusterCIDR: 10.0.0.0/8\n');
  await followed.dealtWith(2);
  expect(followed.lines).toHaveLength(3);
});
