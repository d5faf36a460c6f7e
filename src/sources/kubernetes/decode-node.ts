import { formatCidr, parseCidr } from '../../model/address';
import type { Node } from '../../model/cluster';
import {
  decodeAddresses,
  decodeIdentity,
  fieldsOf,
  isSubdomain,
  listOf,
  quote,
  share,
  textOf,
  type Warn,
} from './decode-fields';

const zoneLabel = 'topology.kubernetes.io/zone';
/** The taint of a node that the cluster autoscaler is about to remove (KEP-3458). */
const leavingTaint = 'ToBeDeletedByClusterAutoscaler';

/** Decodes a core/v1 Node. Warns about unusable parts and leaves them out. Returns undefined when it has no usable name. */
export function decodeNode(object: unknown, warn: Warn): Node | undefined {
  const identity = decodeIdentity(object, 'Node', isSubdomain, warn);
  if (identity === undefined) return undefined;
  const { metadata, spec, status } = fieldsOf(object);
  const { podCIDR, podCIDRs, taints } = fieldsOf(spec);
  const addresses = listOf(fieldsOf(status).addresses).map(fieldsOf);
  const ofType = (wanted: string): unknown[] =>
    addresses.filter(({ type }) => type === wanted).map(({ address }) => address);
  const hasNoOther = listOf(podCIDRs).length > 0 || (podCIDR ?? '') === '';
  const cidrTexts = hasNoOther ? listOf(podCIDRs) : [podCIDR];
  const deletionTimestamp = fieldsOf(metadata).deletionTimestamp ?? '';
  return {
    kind: 'Node',
    name: identity.name,
    addresses: decodeAddresses([...ofType('InternalIP'), ...ofType('ExternalIP')], 'status.addresses', identity.warn),
    zone: share(textOf(identity.labels[zoneLabel])),
    podCIDRs: cidrTexts.flatMap((text) => {
      const cidr = parseCidr(textOf(text));
      if (cidr === undefined) identity.warn('bad-cidr', `podCIDRs: ${quote(text)} is not a CIDR: left out`);
      return cidr === undefined ? [] : formatCidr(cidr);
    }),
    leaving: deletionTimestamp !== '' || listOf(taints).some((taint) => fieldsOf(taint).key === leavingTaint),
  };
}
