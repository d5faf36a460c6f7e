import { AddressMonitor } from '../../src/host/address-monitor';

/** Ends by itself after these lines. */
async function changesHeard(script: string): Promise<number> {
  let heard = 0;
  let ended: () => void = () => undefined;
  const end = new Promise<void>((resolve) => (ended = resolve));
  const monitor = new AddressMonitor({
    except: 'kube-ipvs0',
    command: ['sh', '-c', script],
    onChange: () => {
      heard++;
      // The end of the process is a change, too.
      if (!monitor.isWatching) ended();
    },
  });
  monitor.start();
  expect(monitor.isWatching).toBe(true);
  await end;
  return heard - 1;
}

test("lines about other interfaces are changes, those about IPVS's own are not", async () => {
  const lines = [
    '2: eth0    inet 192.168.88.50/24 scope global secondary eth0',
    'Deleted 2: eth0    inet6 fd88::50/64 scope global',
    '5: kube-ipvs0    inet 10.96.0.10/32 scope global kube-ipvs0',
    'Deleted 5: kube-ipvs0    inet 10.96.0.10/32 scope global kube-ipvs0',
    '6: kube-ipvs01    inet 10.0.0.1/32 scope global kube-ipvs01',
  ];
  expect(await changesHeard(`cat <<'END'\n${lines.join('\n')}\nEND`)).toBe(3);
});

test('where messages were lost everything may have changed', async () => {
  const complaint = 'netlink receive error No buffer space available (105)';
  expect(await changesHeard(`echo '${complaint}' >&2; sleep 0.1`)).toBeGreaterThan(0);
});

test('a machine without the tool is one on which the monitor ends at once', async () => {
  let heard: () => void = () => undefined;
  const end = new Promise<void>((resolve) => (heard = resolve));
  const monitor = new AddressMonitor({ except: '', command: ['/nonexistent/ip'], onChange: () => heard() });
  monitor.start();
  await end;
  expect(monitor.isWatching).toBe(false);
});

test('close ends it, and is no change', async () => {
  let heard = 0;
  const monitor = new AddressMonitor({ except: '', command: ['sleep', '30'], onChange: () => heard++ });
  monitor.start();
  monitor.close();
  expect(monitor.isWatching).toBe(false);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(heard).toBe(0);
});
