import { families, familyOf, parseAddress } from '../../model/address';
import type { EndpointSlice, SliceEndpoint } from '../../model/cluster';
import {
  decodeNodeName,
  decodeSlicePorts,
  decodeTarget,
  decodeTriggerTime,
  headlessLabel,
} from './decode-endpoint-slice';
import {
  decodeIdentity,
  fieldsOf,
  isSubdomain,
  listOf,
  quote,
  shareList,
  textOf,
  type Warn,
  type WarnOf,
} from './decode-fields';

function decodeEndpoint(value: unknown, ready: boolean, warn: WarnOf): SliceEndpoint[] {
  const { ip, nodeName, targetRef } = fieldsOf(value);
  const address = parseAddress(textOf(ip));
  if (address === undefined) {
    warn('bad-address', `endpoint ${quote(ip)} is not an IP address: left out`);
    return [];
  }
  return [
    {
      address,
      ready,
      serving: ready,
      terminating: false,
      nodeName: decodeNodeName(nodeName),
      zone: '',
      zoneHints: shareList([]),
      nodeHints: shareList([]),
      target: decodeTarget(targetRef),
    },
  ];
}

/**
 * Decodes a core/v1 Endpoints object as slices, one per subset and family, named `object/subset/family`. All of them belong to the
 * object: a newer version replaces them together. Returns undefined when the object is unusable or belongs to a headless Service.
 */
export function decodeEndpoints(object: unknown, warn: Warn): readonly EndpointSlice[] | undefined {
  const identity = decodeIdentity(object, 'Endpoints', isSubdomain, warn);
  if (identity === undefined || headlessLabel in identity.labels) return undefined;
  const { namespace, name } = identity;
  const trigger = decodeTriggerTime(identity.annotations);
  return listOf(fieldsOf(object).subsets).flatMap((subset, i) => {
    const fields = fieldsOf(subset);
    const ports = decodeSlicePorts(listOf(fields.ports), '', identity.warn);
    const endpoints = [
      ...listOf(fields.addresses).flatMap((value) => decodeEndpoint(value, true, identity.warn)),
      ...listOf(fields.notReadyAddresses).flatMap((value) => decodeEndpoint(value, false, identity.warn)),
    ];
    return families.flatMap((family): EndpointSlice[] => {
      const ofFamily = endpoints.filter(({ address }) => familyOf(address) === family);
      if (ofFamily.length === 0) return [];
      return [
        {
          kind: 'EndpointSlice',
          source: 'Endpoints',
          namespace,
          name: `${name}/${i}/${family}`,
          serviceName: name,
          family,
          ports,
          endpoints: ofFamily,
          ...trigger,
        },
      ];
    });
  });
}
