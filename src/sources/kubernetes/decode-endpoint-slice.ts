import { familyOf, parseAddress } from '../../model/address';
import type { EndpointSlice, SliceEndpoint, SlicePort } from '../../model/cluster';
import {
  decodeIdentity,
  type Fields,
  fieldsOf,
  isLabel,
  isLabelValue,
  isPort,
  isSubdomain,
  listOf,
  protocolOf,
  quote,
  quotePort,
  share,
  shareList,
  textOf,
  type Warn,
  type WarnOf,
} from './decode-fields';

const serviceNameLabel = 'kubernetes.io/service-name';
/** The label on slices and Endpoints of headless Services, which no proxy serves. */
export const headlessLabel = 'service.kubernetes.io/headless';
const triggerAnnotation = 'endpoints.kubernetes.io/last-change-trigger-time';

/** Reads the trigger time, in milliseconds since the epoch. The result is to be spread into a slice. */
export function decodeTriggerTime(annotations: Fields): Pick<EndpointSlice, 'lastChangeTriggerMs'> {
  const ms = Date.parse(textOf(annotations[triggerAnnotation]));
  return Number.isNaN(ms) ? {} : { lastChangeTriggerMs: ms };
}

/** Returns `Kind/name`, made by join, because a concatenated string would keep its parts in memory. */
export function decodeTarget(value: unknown): string {
  const { kind, name } = fieldsOf(value);
  const isFit = /^[A-Za-z][A-Za-z0-9]{0,62}$/.test(textOf(kind)) && isSubdomain(textOf(name));
  return isFit ? [kind, name].join('/') : '';
}

export function decodeNodeName(value: unknown): string {
  const name = textOf(value);
  return isSubdomain(name) ? share(name) : '';
}

/**
 * '' is the name of an unnamed port.
 * @param unnamed the name of a port whose name is absent. With undefined such a port is unusable.
 */
export function decodeSlicePorts(values: readonly unknown[], unnamed: '' | undefined, warn: WarnOf): SlicePort[] {
  return values.flatMap((value) => {
    const fields = fieldsOf(value);
    const name = fields.name ?? unnamed;
    const protocol = protocolOf(fields.protocol);
    const isNamed = typeof name === 'string' && (name === '' || isLabel(name));
    if (isNamed && protocol !== undefined && isPort(fields.port)) return { name, protocol, port: fields.port };
    warn('bad-port', `${quotePort(fields)} is unusable: left out`);
    return [];
  });
}

function decodeHints(values: unknown): readonly string[] {
  return shareList(
    listOf(values)
      .map((hint) => textOf(fieldsOf(hint).name))
      .filter((name) => name !== ''),
  );
}

/** A condition that is present but has a wrong type counts as false, so that the endpoint gets no traffic. */
function isTrueOrAbsent(condition: unknown): boolean {
  return condition === undefined || condition === null || condition === true;
}

const unreadable: Fields = { ready: false, serving: false };

function conditionsOf(value: unknown): Fields {
  return value === undefined || value === null || (typeof value === 'object' && !Array.isArray(value))
    ? fieldsOf(value)
    : unreadable;
}

/** When `serving` is absent it counts as true, whatever `ready` says, as in kube-proxy. */
function decodeEndpoint(value: unknown, family: EndpointSlice['family'], warn: WarnOf): SliceEndpoint | undefined {
  const fields = fieldsOf(value);
  const text = listOf(fields.addresses)[0];
  if (text === undefined) return undefined;
  const address = parseAddress(textOf(text));
  if (address === undefined || familyOf(address) !== family) {
    warn('bad-address', `endpoint ${quote(text)} is not an ${family} address: left out`);
    return undefined;
  }
  const conditions = conditionsOf(fields.conditions);
  const hints = fieldsOf(fields.hints);
  return {
    address,
    ready: isTrueOrAbsent(conditions.ready),
    serving: isTrueOrAbsent(conditions.serving),
    terminating: conditions.terminating === true,
    nodeName: decodeNodeName(fields.nodeName),
    zone: share(textOf(fields.zone)),
    zoneHints: decodeHints(hints.forZones),
    nodeHints: decodeHints(hints.forNodes),
    target: decodeTarget(fields.targetRef),
  };
}

/**
 * Decodes a discovery.k8s.io/v1 EndpointSlice. Warns about unusable parts and leaves them out. Returns undefined for slices that are
 * not used: slices without a Service, of a headless Service, or of host names.
 */
export function decodeEndpointSlice(object: unknown, warn: Warn): EndpointSlice | undefined {
  const identity = decodeIdentity(object, 'EndpointSlice', isSubdomain, warn);
  if (identity === undefined || headlessLabel in identity.labels) return undefined;
  const fields = fieldsOf(object);
  const family = fields.addressType;
  if (family !== 'IPv4' && family !== 'IPv6') {
    if (family !== 'FQDN') identity.warn('bad-address-type', `addressType ${quote(family)} is unknown: ignored`);
    return undefined;
  }
  const serviceName = textOf(identity.labels[serviceNameLabel]);
  if (!isLabel(serviceName)) {
    // The API server accepts slices without the label and with any label value. They belong to other software and to no Service.
    if (!isLabelValue(serviceName))
      identity.warn(
        'no-service-name',
        `its label ${serviceNameLabel} is ${quote(serviceName)}, which is not a label value: ignored`,
      );
    return undefined;
  }
  return {
    kind: 'EndpointSlice',
    source: 'EndpointSlice',
    namespace: identity.namespace,
    name: identity.name,
    serviceName,
    family,
    ports: decodeSlicePorts(listOf(fields.ports), undefined, identity.warn),
    endpoints: listOf(fields.endpoints).flatMap((value) => decodeEndpoint(value, family, identity.warn) ?? []),
    ...decodeTriggerTime(identity.annotations),
  };
}
