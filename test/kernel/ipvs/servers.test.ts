import { join } from 'node:path';
import { schedulerNames } from '../../../src/model/scheduler';
import { describeAsRoot, runInNetworkNamespace } from '../../support/network-namespace';

interface Tried {
  readonly isSaved: boolean;
  readonly servers: readonly unknown[];
  readonly servers6: readonly unknown[];
  readonly resting: readonly unknown[];
  readonly destinations: readonly { readonly destination: string }[];
  readonly destinationsOfNone: readonly unknown[];
  readonly amended: readonly string[];
  readonly refusal: string;
  readonly afterRefusal: readonly string[];
  readonly timeouts: string;
}

interface Told {
  readonly netlink: Tried;
  readonly tool: Tried;
  readonly schedulers: { readonly has: readonly string[]; readonly missing: string; readonly left: number };
  readonly toolSchedulers: Told['schedulers'];
  readonly figures: {
    readonly netlinkMs: number;
    readonly toolMs: number;
    readonly readMs: number;
    readonly held: number;
    readonly read: number;
  };
  readonly withoutPermission: string;
  readonly withoutTool: string;
  readonly withoutKernel: { readonly failure: string; readonly byModprobe: string };
}

const services = 1_000;

describeAsRoot('virtual servers, in a network namespace', () => {
  let told: Told;
  beforeAll(async () => {
    told = (await runInNetworkNamespace(join(__dirname, 'servers.guest.ts'), services.toString())) as Told;
  }, 240_000);

  describe.each(['netlink', 'tool'] as const)('by %s', (way) => {
    test('what was written is what ipvsadm saves', () => {
      expect(told[way].isSaved).toBe(true);
    });

    test('what was written is what is read, with the flags of schedulers and affinity', () => {
      expect(told[way].servers).toEqual([
        ['FWM 1048577', '-s sh -b sh-fallback\n10.244.1.2:8080 1'],
        ['FWM 3145729', '-s rr\n[fd00:10:244:1::2]:8080 2'],
        ['SCTP 10.96.0.11:9999', '-s wrr\n10.244.1.2:1 3\n10.244.1.3:65535 65535'],
        ['TCP 10.96.0.10:80', '-s rr\n10.244.1.10:8080 1\n10.244.1.2:8080 0\n10.244.1.3:8080 1'],
        ['TCP 10.96.0.13:80', '-s mh -p 86400 -b mh-fallback,mh-port'],
        ['UDP 10.96.0.10:53', '-s rr -p 1\n10.244.9.9:53 1'],
      ]);
      expect(told[way].servers6).toEqual([
        ['FWM 3145729', '-s rr\n[fd00:10:244:1::2]:8080 2'],
        ['TCP [fd00:96::a]:80', '-s sh -p 600 -b sh-port\n[fd00:10:244:1::2]:8080 1'],
      ]);
    });

    test('destinations of weight 0 and all destinations of a server can be read', () => {
      expect(told[way].resting).toEqual([
        { server: 'TCP 10.96.0.10:80', destination: '10.244.1.2:8080', weight: 0, connections: 0 },
      ]);
      expect([...told[way].destinations].sort((a, b) => a.destination.localeCompare(b.destination))).toEqual([
        { destination: '10.244.1.10:8080', weight: 1, connections: 0 },
        { destination: '10.244.1.2:8080', weight: 0, connections: 0 },
        { destination: '10.244.1.3:8080', weight: 1, connections: 0 },
      ]);
      expect(told[way].destinationsOfNone).toEqual([]);
    });

    test('adding what exists edits it, and editing what does not exist adds it', () => {
      expect(told[way].amended).toEqual(['-s wlc\n10.244.1.2:80 7', '-s lc\n10.244.9.9:53 0']);
    });

    test('a refusal names the line, and everything else is written', () => {
      expect(told[way].refusal).toContain('IPVS refused 2 of 3 writes: -A -t 10.96.0.30:80 -s nosuch: ');
      expect(told[way].afterRefusal).toEqual(['TCP 10.96.0.32:80']);
    });

    test('a timeout of 0 leaves the value as it is', () => {
      expect(told[way].timeouts).toMatch(/: 1000 120 77$/);
    });
  });

  test.each(['schedulers', 'toolSchedulers'] as const)('%s: each is tried, and nothing is left of it', (way) => {
    expect(told[way].has).toEqual(schedulerNames);
    expect(told[way].missing).toBe(
      'UserError: the kernel has no IPVS scheduler nosuch: load it on the node (modprobe ip_vs_nosuch), ' +
        `or choose one that it has: ${schedulerNames.join(', ')}`,
    );
    expect(told[way].left).toBe(4);
  });

  test('netlink takes at most half of the time that ipvsadm takes', () => {
    expect(told.figures.netlinkMs * 2).toBeLessThan(told.figures.toolMs);
  });

  test('reading blocks the event loop only for a moment', () => {
    expect(told.figures.read).toBe(services);
    // A slice takes 5 ms. What else the machine does meanwhile counts too.
    expect(told.figures.held).toBeLessThan(200);
  });

  test('for something that is missing, one line says what to do', () => {
    expect(told.withoutPermission).toBe('UserError: no permission to program IPVS: run as root, with CAP_NET_ADMIN');
    expect(told.withoutTool).toBe(
      'UserError: IPVS mode needs the netlink addon, which cannot be loaded here, or the tool ipvsadm: install ipvsadm',
    );
    expect(told.withoutKernel.failure).toMatch(
      /^UserError: the kernel has no IPVS: load it on the node \(modprobe ip_vs\), or mount the node's \/lib\/modules, so that vipwire can load it \(modprobe: .* not found .*\)$/,
    );
  });

  test('modprobe loads ip_vs where the kernel cannot load it by itself', () => {
    expect(told.withoutKernel.byModprobe).toBe('none');
  });
});
