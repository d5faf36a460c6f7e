/** Address changes of kube-ipvs0 as input of `ip -batch -`. */
import { familyOf, hostCidr } from '../../../model/address';

export const deviceName = 'kube-ipvs0';

/** One line with its end: `address replace 10.96.0.10/32 dev kube-ipvs0`. */
export function printAddressChange(kind: 'bind' | 'unbind', address: string): string {
  const flag = kind === 'bind' && familyOf(address) === 'IPv6' ? ' nodad' : '';
  return `address ${kind === 'bind' ? 'replace' : 'delete'} ${hostCidr(address)} dev ${deviceName}${flag}\n`;
}
