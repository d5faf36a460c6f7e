/**
 * A Service that is told after everything else and says another port and target port each time: when connections to it go
 * where it said last, the proxy has learned of all that was told before.
 */
import type { Lab } from '../support/lab/lab';
import { addresses, echoPorts } from '../support/lab/topology';
import { service, slice } from './objects';
import type { ClusterObject } from './scenario';

const vips = { IPv4: '10.96.255.254', IPv6: 'fd96::ffff' } as const;
const families = ['IPv4', 'IPv6'] as const;
const namespace = 'kube-system';
const name = 'canary';

export class Canary {
  private told = 0;
  private readonly families: readonly (keyof typeof vips)[];

  constructor(private readonly lacksDiscovery: boolean) {
    // Endpoints objects have the addresses of one family.
    this.families = lacksDiscovery ? ['IPv4'] : families;
  }

  private get port(): number {
    return 1000 + this.told;
  }

  private get targetPort(): number {
    return echoPorts[this.told % echoPorts.length] ?? 80;
  }

  /** To be told last. */
  next(): ClusterObject[] {
    this.told++;
    const port = { port: this.targetPort };
    const clusterIPs = this.families.map((family) => vips[family]);
    const canary = service({ namespace, name, clusterIPs, ports: [{ port: this.port, targetPort: this.targetPort }] });
    if (!this.lacksDiscovery)
      return [
        canary,
        ...this.families.map((family) => slice(['a'], { namespace, service: name, family, ports: [port] })),
      ];
    const subsets = [{ addresses: [{ ip: addresses.a.IPv4 }], ports: [port] }];
    const endpoints = { kind: 'Endpoints', apiVersion: 'v1', metadata: { namespace, name }, subsets };
    return [canary, endpoints];
  }

  /** What was told last is in force, in every family. Listens for as long as `patient` says. */
  async sings(lab: Lab, patient: () => boolean): Promise<boolean> {
    const heard = this.families.map(async (family) => {
      while (patient()) {
        const [answer] = await lab.probe('node', { to: vips[family], port: this.port, timeoutMs: 200 });
        if (answer?.outcome === 'ok' && answer.port === this.targetPort) return true;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      return false;
    });
    return (await Promise.all(heard)).every(Boolean);
  }
}
