/** The types of the fields that are read from an object in a file. The API server checks them, but a file may say `port: "80a"`. */
import { type Fields, fieldsOf, quote } from '../kubernetes/decode-fields';

type Shape =
  | 'text'
  | 'number'
  | 'true or false'
  | 'texts by name'
  | readonly [Shape]
  | { readonly [name: string]: Shape };

const metadata: Shape = { name: 'text', namespace: 'text', labels: 'texts by name', annotations: 'texts by name' };
const names: Shape = [{ name: 'text' }];
const target: Shape = { kind: 'text', name: 'text' };
const slicePorts: Shape = [{ name: 'text', protocol: 'text', port: 'number' }];
const oldAddresses: Shape = [{ ip: 'text', nodeName: 'text', targetRef: target }];

const shapes: Readonly<Record<string, Shape>> = {
  Service: {
    metadata,
    spec: {
      type: 'text',
      clusterIP: 'text',
      clusterIPs: ['text'],
      ipFamilies: ['text'],
      ports: [{ name: 'text', protocol: 'text', port: 'number', nodePort: 'number' }],
      externalIPs: ['text'],
      loadBalancerSourceRanges: ['text'],
      internalTrafficPolicy: 'text',
      externalTrafficPolicy: 'text',
      healthCheckNodePort: 'number',
      sessionAffinity: 'text',
      sessionAffinityConfig: { clientIP: { timeoutSeconds: 'number' } },
    },
    status: { loadBalancer: { ingress: [{ ip: 'text', ipMode: 'text' }] } },
  },
  EndpointSlice: {
    metadata,
    addressType: 'text',
    ports: slicePorts,
    endpoints: [
      {
        addresses: ['text'],
        conditions: { ready: 'true or false', serving: 'true or false', terminating: 'true or false' },
        nodeName: 'text',
        zone: 'text',
        hints: { forZones: names, forNodes: names },
        targetRef: target,
      },
    ],
  },
  Endpoints: {
    metadata,
    subsets: [{ ports: slicePorts, addresses: oldAddresses, notReadyAddresses: oldAddresses }],
  },
  ServiceCIDR: { metadata, spec: { cidrs: ['text'] } },
  Node: {
    metadata,
    spec: { podCIDR: 'text', podCIDRs: ['text'], taints: [{ key: 'text' }] },
    status: { addresses: [{ type: 'text', address: 'text' }] },
  },
};

/** Returns a text such as `spec.ports[0].port: want a number, got "80a"` for each value of a wrong type. */
export function wrongTypes(kind: string, object: Fields): string[] {
  const found: string[] = [];
  const shape = shapes[kind];
  if (shape !== undefined) compare(object, shape, '', found);
  return found;
}

function compare(value: unknown, shape: Shape, path: string, found: string[]): void {
  if (value === undefined || value === null) return;
  const fail = (want: string): void => void found.push(`${path}: want ${want}, got ${quote(value)}`);
  if (typeof shape === 'string') {
    if (shape === 'texts by name') compareMap(value, path, found);
    else if (typeof value !== typesOf[shape]) fail(shape === 'number' ? 'a number' : shape);
  } else if (isList(shape)) {
    if (Array.isArray(value)) value.forEach((item, i) => compare(item, shape[0], `${path}[${i}]`, found));
    else fail('a list');
  } else if (typeof value !== 'object' || Array.isArray(value)) {
    fail('fields');
  } else {
    const fields = fieldsOf(value);
    for (const [name, inner] of Object.entries(shape))
      compare(fields[name], inner, path === '' ? name : `${path}.${name}`, found);
  }
}

const typesOf = { text: 'string', number: 'number', 'true or false': 'boolean' } as const;

function isList(shape: Shape): shape is readonly [Shape] {
  return Array.isArray(shape);
}

function compareMap(value: unknown, path: string, found: string[]): void {
  if (typeof value !== 'object' || Array.isArray(value)) {
    found.push(`${path}: want texts by name, got ${quote(value)}`);
    return;
  }
  for (const [name, text] of Object.entries(fieldsOf(value))) compare(text, 'text', `${path}[${quote(name)}]`, found);
}
