import { addressQuestion, HostAddresses } from '../../src/daemon/agent-addresses';
import { createLogger } from '../../src/telemetry/logger';
import { OpenQuestions } from '../../src/telemetry/open-questions';
import { FakeClock, settle } from '../reconciler/fake-clock';

/** What `ip monitor` would be: it runs until it dies, and says when something changed. */
class FakeMonitor {
  isWatching = false;
  starts = 0;
  constructor(readonly say: () => void) {}
  start(): void {
    if (this.isWatching) return;
    this.isWatching = true;
    this.starts++;
  }
  close(): void {
    this.isWatching = false;
  }
}

class Machine {
  readonly clock = new FakeClock();
  readonly stopping = new AbortController();
  readonly changes: (readonly string[])[] = [];
  readonly questions = new OpenQuestions(createLogger({ verbosity: 0, format: 'json' }, () => undefined));
  interfaces: readonly string[] | Error = ['192.168.88.10'];
  reads = 0;
  monitor: FakeMonitor | undefined;
  readonly addresses: HostAddresses;

  /** tookMs: of each read. */
  constructor(tookMs: number, hasMonitor = true) {
    this.addresses = new HostAddresses({
      clock: this.clock,
      questions: this.questions,
      onChange: () => this.changes.push(this.addresses.addresses),
      read: () => {
        this.reads++;
        const until = performance.now() + tookMs;
        while (performance.now() < until);
        return this.interfaces instanceof Error ? Promise.reject(this.interfaces) : Promise.resolve(this.interfaces);
      },
      ...(hasMonitor && { monitor: (say) => (this.monitor = new FakeMonitor(say)) }),
    });
  }

  async after(ms: number): Promise<void> {
    await this.clock.advance(ms);
    await settle();
  }
}

let machine: Machine;
const running = async (tookMs: number, hasMonitor?: boolean): Promise<Machine> => {
  machine = new Machine(tookMs, hasMonitor);
  await machine.addresses.start(machine.stopping.signal);
  return machine;
};
afterEach(() => machine.stopping.abort());

test('while a read is cheap, one that comes and one that goes are found within half a second', async () => {
  await running(0);
  machine.interfaces = ['192.168.88.10', '192.168.88.50'];
  await machine.after(500);
  expect(machine.addresses.addresses).toEqual(['192.168.88.10', '192.168.88.50']);
  machine.interfaces = ['192.168.88.50'];
  await machine.after(500);
  expect(machine.changes).toEqual([['192.168.88.10'], ['192.168.88.10', '192.168.88.50'], ['192.168.88.50']]);
  expect(machine.monitor?.starts).toBe(0);
});

test('where a read is dear a monitor tells, and reads are few', async () => {
  await running(3);
  expect(machine.monitor?.isWatching).toBe(true);
  for (let i = 0; i < 60; i++) await machine.after(1000);
  expect(machine.reads).toBeLessThan(15);
  machine.interfaces = ['192.168.88.50'];
  machine.monitor?.say();
  machine.monitor?.say();
  const before = machine.reads;
  await machine.after(50);
  expect(machine.addresses.addresses).toEqual(['192.168.88.50']);
  expect(machine.reads).toBe(before + 1);
});

test('what changed before the monitor listened is found by the reads after its start', async () => {
  await running(3);
  machine.interfaces = ['192.168.88.50'];
  // On a busy machine a read takes longer, and the next one comes later.
  for (let i = 0; i < 5; i++) await machine.after(1000);
  expect(machine.addresses.addresses).toEqual(['192.168.88.50']);
});

test('a monitor that died is started again, and one that never runs leaves it to the reads', async () => {
  await running(3);
  machine.monitor?.close();
  machine.monitor?.say();
  for (let i = 0; i < 11; i++) await machine.after(1000);
  expect(machine.monitor?.starts).toBe(2);
  machine.interfaces = ['192.168.88.50'];
  for (let i = 0; i < 3; i++) {
    machine.monitor?.close();
    await machine.after(1000);
  }
  expect(machine.addresses.addresses).toEqual(['192.168.88.50']);
});

test('without a monitor reads take a hundredth of the time', async () => {
  await running(20, false);
  for (let i = 0; i < 40; i++) await machine.after(500);
  expect(machine.reads).toBeLessThanOrEqual(11);
  expect(machine.reads).toBeGreaterThan(5);
});

test('addresses that cannot be read are not none: the last ones stay, and it is told', async () => {
  await running(0);
  machine.interfaces = new Error('EMFILE');
  await machine.after(500);
  await machine.after(1000);
  expect(machine.addresses.addresses).toEqual(['192.168.88.10']);
  expect(machine.questions.list()).toMatchObject([{ question: addressQuestion, reason: 'EMFILE' }]);
  machine.interfaces = [];
  await machine.after(1000);
  expect(machine.addresses.addresses).toEqual([]);
  expect(machine.questions.list()).toEqual([]);
});

test('before the first answer nothing is known, and the machine is asked again', async () => {
  machine = new Machine(0);
  machine.interfaces = new Error('EMFILE');
  await machine.addresses.start(machine.stopping.signal);
  expect(machine.addresses.isKnown).toBe(false);
  machine.interfaces = ['192.168.88.10'];
  await machine.after(1000);
  expect(machine.addresses.isKnown).toBe(true);
  expect(machine.changes).toEqual([['192.168.88.10']]);
});

test('a monitor that cannot run is not started again and again', async () => {
  await running(3);
  for (let i = 0; i < 600; i++) {
    machine.monitor?.close();
    machine.monitor?.say();
    await machine.after(100);
  }
  expect(machine.monitor?.starts).toBeLessThanOrEqual(7);
});
