import { NftToolKernel } from '../../../src/backends/nftables/driver-nft';
import { RefusedWritesError, type TableWrite } from '../../../src/backends/nftables/objects';
import type { Clock } from '../../../src/host/clock';
import { CommandError, type CommandFailure, type RunCommand } from '../../../src/host/command';

const failure: CommandFailure = { exitCode: 1, stderr: '', durationMs: 5 };

class Tool {
  readonly inputs: string[] = [];
  next: CommandFailure | undefined;
  nowMs = 1_000_000;
  readonly run: RunCommand = (file, args, options = {}) => {
    expect([file, ...args]).toEqual(['nft', '-f', '-']);
    this.inputs.push(options.input ?? '');
    return this.next === undefined
      ? Promise.resolve({ stdout: '', durationMs: 5 })
      : Promise.reject(new CommandError(file, this.next));
  };
  readonly clock: Clock = { now: () => this.nowMs, epochMs: () => this.nowMs, sleep: () => Promise.resolve() };
  readonly kernel = new NftToolKernel('IPv4', this.run, this.clock);

  async fail(how: CommandFailure, writes: readonly TableWrite[] = [{ op: 'add-table' }]): Promise<unknown> {
    this.next = how;
    const error: unknown = await this.kernel.write(writes).then(
      () => 'done',
      (thrown: unknown) => thrown,
    );
    this.next = undefined;
    return error;
  }
}

test('one run of nft has all writes', async () => {
  const tool = new Tool();
  await tool.kernel.write([{ op: 'add-table' }, { op: 'delete-chain', chain: 'vipwire-pick-1' }]);
  expect(tool.inputs).toEqual([
    'add table ip kube-proxy { comment "vipwire: rules for Services"; }\ndelete chain ip kube-proxy vipwire-pick-1\n',
  ]);
});

test('a refusal names the writes of the lines that nft names', async () => {
  const tool = new Tool();
  const writes: readonly TableWrite[] = [
    { op: 'add-table' },
    { op: 'set-rules', chain: 'vipwire-a', rules: [{ statements: [{ kind: 'drop' }] }] },
    { op: 'delete-chain', chain: 'vipwire-b' },
  ];
  const stderr = [
    '/dev/stdin:3:1-40: Error: Could not process rule: No such file or directory',
    'add rule ip kube-proxy vipwire-a drop',
    '^^^^',
    '/dev/stdin:4:1-40: Error: Could not process rule: Device or resource busy',
    '/dev/stdin:99:1-40: Error: something else',
  ].join('\n');
  const error = await tool.fail({ ...failure, stderr }, writes);
  expect(error).toBeInstanceOf(RefusedWritesError);
  expect(error).toMatchObject({
    refused: new Map([
      [1, 'ENOENT'],
      [2, 'EBUSY'],
    ]),
  });
});

test('when something ends nft from outside, it is unknown what has taken effect', async () => {
  const tool = new Tool();
  for (const how of [
    { ...failure, exitCode: undefined, stderr: 'SIGSEGV' },
    { ...failure, exitCode: undefined, limitMs: 20_000 },
    { ...failure, exitCode: undefined, notFound: true },
  ]) {
    expect(await tool.fail(how)).toBeInstanceOf(CommandError);
    tool.nowMs += 60_000;
  }
});

test('after a crash nft is not called for a while, for longer after each crash, until it runs again', async () => {
  const tool = new Tool();
  const crash = { ...failure, exitCode: undefined, stderr: 'SIGSEGV' };
  const waits: number[] = [];
  for (let i = 0; i < 8; i++) {
    expect(await tool.fail(crash)).toBeInstanceOf(CommandError);
    const count = tool.inputs.length;
    const startMs = tool.nowMs;
    while (tool.inputs.length === count) {
      expect(await tool.fail(failure).then(String)).toMatch(i === 0 ? /crashed 1 times.* in 1 s/ : /crashed \d times/);
      tool.nowMs += 1000;
      if (tool.nowMs - startMs === 2 ** i * 1000 || tool.nowMs - startMs === 60_000) break;
    }
    waits.push((tool.nowMs - startMs) / 1000);
  }
  expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60]);
  await tool.kernel.write([{ op: 'add-table' }]);
  await tool.fail(crash);
  tool.nowMs += 1000;
  await tool.kernel.write([{ op: 'add-table' }]);
});

test('it cannot read, and says why', async () => {
  const { kernel } = new Tool();
  expect(kernel.canRead).toBe(false);
  await expect(kernel.read()).rejects.toThrow('the netlink addon does not load');
  await expect(kernel.readObjects()).rejects.toThrow('the netlink addon does not load');
});
