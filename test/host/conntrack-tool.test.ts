import { CommandError, type RunCommand } from '../../src/host/command';
import { deleteFlowsByTool, parseConntrackLine } from '../../src/host/conntrack-tool';
import { ConntrackUnavailableError } from '../../src/host/conntrack-unavailable';

const translated =
  'udp      17 118 src=10.0.0.5 dst=10.96.0.10 sport=40001 dport=53 src=10.1.0.2 dst=10.0.0.5 sport=5353 dport=40001 [ASSURED] mark=0 use=1';
const unreplied =
  'udp      17 28 src=fd00::5 dst=fd96::10 sport=40001 dport=53 [UNREPLIED] src=fd96::10 dst=fd00::5 sport=53 dport=40001 zone=7 use=1';
const tcp = translated.replace('udp      17 118', 'tcp      6 431999 ESTABLISHED');
const filter = { ports: new Set([53]), isStale: () => true };

/** conntrack with one flow, and what it says to a deletion. */
function conntrackThat(deletes: () => void, calls: string[] = []): RunCommand {
  return (file, args, options) => {
    calls.push([file, ...args].join(' '));
    if (args[0] === '-L') options?.onLine?.(translated);
    else deletes();
    return Promise.resolve({ stdout: '', durationMs: 1 });
  };
}

test('parses the flows of UDP', () => {
  expect(parseConntrackLine(translated)).toEqual({
    dst: '10.96.0.10',
    dstPort: 53,
    replySrc: '10.1.0.2',
    replySrcPort: 5353,
  });
  expect(parseConntrackLine(unreplied)).toEqual({
    dst: 'fd96::10',
    dstPort: 53,
    replySrc: 'fd96::10',
    replySrcPort: 53,
  });
  expect(parseConntrackLine(tcp)).toBeUndefined();
  expect(parseConntrackLine('udp      17 118 src=10.0.0.5')).toBeUndefined();
});

test('one deletion for all clients of a VIP', async () => {
  const calls: string[] = [];
  await expect(
    deleteFlowsByTool(
      conntrackThat(() => undefined, calls),
      'IPv4',
      filter,
    ),
  ).resolves.toBe(1);
  expect(calls).toEqual([
    'conntrack -L -p udp -f ipv4',
    'conntrack -D -p udp -f ipv4 --orig-dst 10.96.0.10 --orig-port-dst 53 --reply-src 10.1.0.2 --reply-port-src 5353',
  ]);
});

test('a flow that went by itself is no error, a refusal is', async () => {
  const failing = (stderr: string) => (): never => {
    throw new CommandError('conntrack', { exitCode: 1, stderr, durationMs: 1 });
  };
  const gone = conntrackThat(failing('conntrack v1.4.7 (conntrack-tools): 0 flow entries have been deleted.'));
  await expect(deleteFlowsByTool(gone, 'IPv4', filter)).resolves.toBe(0);
  const refused = conntrackThat(failing('Operation failed: Operation not permitted'));
  await expect(deleteFlowsByTool(refused, 'IPv4', filter)).rejects.toThrow('not permitted');
});

test('a tool that is missing is told from one that does not answer', async () => {
  const failing = (exitCode: number | undefined, notFound: boolean): RunCommand => {
    return () => Promise.reject(new CommandError('conntrack', { exitCode, stderr: '', durationMs: 1, notFound }));
  };
  await expect(deleteFlowsByTool(failing(undefined, true), 'IPv4', filter)).rejects.toBeInstanceOf(
    ConntrackUnavailableError,
  );
  for (const exitCode of [undefined, 1, 71])
    await expect(deleteFlowsByTool(failing(exitCode, false), 'IPv4', filter)).rejects.toBeInstanceOf(CommandError);
});
