import { existsSync } from 'node:fs';
import { describeAsRoot } from './network-namespace';

/** Connections per second of one client. In the guest a connection costs milliseconds, and more would leave no time for the proxy. */
export const guestRate = 10;

/** describe, on a kernel with IPVS. On other kernels it says what is left out. scripts/guest has a kernel with IPVS. */
export function describeWithIpvs(name: string, body: () => void): void {
  if (existsSync('/proc/net/ip_vs')) {
    describeAsRoot(name, body);
    return;
  }
  console.warn(`SKIPPED: ${name} needs a kernel with IPVS (npm run test:ipvs)`);
  describe.skip(name, body);
}
