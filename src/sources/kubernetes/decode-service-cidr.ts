import { formatCidr, parseCidr } from '../../model/address';
import type { ServiceCIDR } from '../../model/cluster';
import { decodeIdentity, fieldsOf, isSubdomain, listOf, quote, textOf, type Warn } from './decode-fields';

/**
 * Decodes a networking.k8s.io/v1 ServiceCIDR. As in kube-proxy, it counts from the moment it is there until it is gone, whatever its
 * conditions say. Warns about what is not a CIDR and leaves it out. Returns undefined when the object has no usable name.
 */
export function decodeServiceCIDR(object: unknown, warn: Warn): ServiceCIDR | undefined {
  const identity = decodeIdentity(object, 'ServiceCIDR', isSubdomain, warn);
  if (identity === undefined) return undefined;
  const cidrs = listOf(fieldsOf(fieldsOf(object).spec).cidrs).flatMap((text) => {
    const cidr = parseCidr(textOf(text));
    if (cidr === undefined) identity.warn('bad-cidr', `spec.cidrs: ${quote(text)} is not a CIDR: left out`);
    return cidr === undefined ? [] : formatCidr(cidr);
  });
  return { kind: 'ServiceCIDR', name: identity.name, cidrs };
}
