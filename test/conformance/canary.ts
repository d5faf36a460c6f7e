/**
 * A Service that the API server tells after everything else, with another port and target port each time. When connections to it
 * go to the latest target port, the proxy has learned of everything that was told before.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Lab } from '../support/lab/lab';
import { addresses, echoPorts } from '../support/lab/topology';
import { service, slice } from './objects';
import type { ClusterObject } from './scenario';

const vips = { IPv4: '10.96.255.254', IPv6: 'fd96::ffff' } as const;
const families = ['IPv4', 'IPv6'] as const;
const namespace = 'kube-system';
const name = 'canary';

const portOf = (told: number): number => 1000 + told;
const targetPortOf = (told: number): number => echoPorts[told % echoPorts.length] ?? 80;

export class Canary {
  private told = 0;
  private readonly families: readonly (keyof typeof vips)[];

  constructor(private readonly lacksDiscovery: boolean) {
    // Endpoints objects have the addresses of one family.
    this.families = lacksDiscovery ? ['IPv4'] : families;
  }

  /** Returns the objects to tell after all others. */
  next(): ClusterObject[] {
    this.told++;
    const targetPort = targetPortOf(this.told);
    const port = { port: targetPort };
    const clusterIPs = this.families.map((family) => vips[family]);
    const canary = service({ namespace, name, clusterIPs, ports: [{ port: portOf(this.told), targetPort }] });
    if (!this.lacksDiscovery)
      return [
        canary,
        ...this.families.map((family) => slice(['a'], { namespace, service: name, family, ports: [port] })),
      ];
    const subsets = [{ addresses: [{ ip: addresses.a.IPv4 }], ports: [port] }];
    const endpoints = { kind: 'Endpoints', apiVersion: 'v1', metadata: { namespace, name }, subsets };
    return [canary, endpoints];
  }

  /**
   * Returns whether the latest port is in force in every family and the port before it no longer is: removals may come late in a
   * round. It keeps asking while `patient` returns true.
   */
  async sings(lab: Lab, patient: () => boolean): Promise<boolean> {
    const heard = this.families.map(async (family) => {
      const answersAs = async (told: number, timeoutMs: number): Promise<boolean> => {
        const [answer] = await lab.probe('node', { to: vips[family], port: portOf(told), timeoutMs });
        return answer?.outcome === 'ok' && answer.port === targetPortOf(told);
      };
      while (patient()) {
        if ((await answersAs(this.told, 200)) && !(await answersAs(this.told - 1, 50))) return true;
        await sleep(20);
      }
      return false;
    });
    return (await Promise.all(heard)).every(Boolean);
  }
}
