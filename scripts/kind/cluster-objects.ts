/**
 * Translates Services and slices that were written for a lab, so that one kind cluster can hold all of them at the same time. Each set
 * gets its own namespaces and uses the cluster's nodes and families; the API server chooses cluster IPs and NodePorts. Pure.
 */
export type ClusterFamily = 'ipv4' | 'ipv6' | 'dual';
type Family = 'IPv4' | 'IPv6';

interface Metadata {
  readonly name: string;
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

interface ServiceObject {
  readonly kind: 'Service';
  readonly metadata: Metadata;
  readonly spec: {
    readonly clusterIP?: string;
    readonly ipFamilies?: readonly Family[];
    readonly ports?: readonly object[];
    readonly externalIPs?: readonly string[];
    readonly loadBalancerSourceRanges?: readonly string[];
  };
  readonly status?: { readonly loadBalancer?: { readonly ingress?: readonly { readonly ip: string }[] } };
}

interface SliceObject {
  readonly kind: 'EndpointSlice';
  readonly metadata: Metadata;
  readonly addressType: Family;
  readonly endpoints: readonly {
    readonly addresses: readonly string[];
    readonly nodeName?: string;
    readonly hints?: { readonly forNodes?: readonly { readonly name: string }[] };
  }[];
}

interface EndpointsObject {
  readonly kind: 'Endpoints';
  readonly metadata: Metadata;
  readonly subsets: readonly { readonly addresses: readonly { readonly ip: string }[] }[];
}

/** An object of a lab. Nodes are not translated, because the cluster has its own. */
export type LabObject =
  | ServiceObject
  | SliceObject
  | EndpointsObject
  | { readonly kind: 'Node'; readonly metadata: Metadata };

export interface ObjectSet {
  /** Has to be valid in the name of a namespace. */
  readonly name: string;
  readonly objects: readonly LabObject[];
}

const familiesOf = { ipv4: ['IPv4'], ipv6: ['IPv6'], dual: ['IPv4', 'IPv6'] } as const;
const nodeNames: Readonly<Record<string, string>> = { node: 'vipwire-worker', node2: 'vipwire-worker2' };
const serviceLabel = 'kubernetes.io/service-name';
const managedBy = 'endpointslice.kubernetes.io/managed-by';

const familyOf = (address: string): Family => (address.includes(':') ? 'IPv6' : 'IPv4');
const namespaceOf = ({ namespace = 'default' }: Metadata): string => namespace;
const without = (object: object, ...fields: readonly string[]): object =>
  Object.fromEntries(Object.entries(object).filter(([field]) => !fields.includes(field)));

/** Returns the IPv6 address or CIDR that ends with this IPv4 address or CIDR. */
function embed(address: string): string {
  const [ip = '', prefix] = address.split('/');
  const [a = 0, b = 0, c = 0, d = 0] = ip.split('.').map(Number);
  const text = `fd64::${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
  return prefix === undefined ? text : `${text}/${Number(prefix) + 96}`;
}

class SetTranslation {
  readonly #set: ObjectSet;
  readonly #chooseExternal: (set: string, address: string) => string;
  readonly #families: readonly Family[];
  readonly #dualStack: ReadonlySet<string>;

  constructor(set: ObjectSet, family: ClusterFamily, chooseExternal: (set: string, address: string) => string) {
    this.#set = set;
    this.#chooseExternal = chooseExternal;
    this.#families = familiesOf[family];
    const services = set.objects.filter((object) => object.kind === 'Service');
    const both = services.filter(({ spec }) => (spec.ipFamilies ?? []).length > 1);
    this.#dualStack = new Set(both.map(({ metadata }) => `${namespaceOf(metadata)}/${metadata.name}`));
  }

  /** Whether to turn IPv4 addresses into IPv6 ones: the cluster has no IPv4, and the Service has no IPv6 addresses. */
  #embeds(metadata: Metadata, service = metadata.name): boolean {
    return !this.#families.includes('IPv4') && !this.#dualStack.has(`${namespaceOf(metadata)}/${service}`);
  }

  #keep(addresses: readonly string[], embeds: boolean): string[] {
    return embeds ? addresses.map(embed) : addresses.filter((address) => this.#families.includes(familyOf(address)));
  }

  namespace(metadata: Metadata): string {
    return `${this.#set.name}-${namespaceOf(metadata)}`;
  }

  #metadata(metadata: Metadata): object {
    const { labels = {} } = metadata;
    // The controller would remove a slice that is labelled as its own.
    const ours = managedBy in labels ? { ...labels, [managedBy]: 'kind-compare' } : labels;
    return { ...metadata, namespace: this.namespace(metadata), labels: ours };
  }

  translate(object: LabObject): object[] {
    if (object.kind === 'Service') return [this.#service(object)];
    if (object.kind === 'Endpoints') return [this.#endpoints(object)];
    return object.kind === 'EndpointSlice' ? this.#slice(object) : [];
  }

  #service({ metadata, spec, status }: ServiceObject): object {
    const embeds = this.#embeds(metadata);
    const external = (addresses: readonly string[]): string[] =>
      this.#keep(addresses, embeds).map((address) => this.#chooseExternal(this.#set.name, address));
    const { clusterIP, ipFamilies, ports, externalIPs, loadBalancerSourceRanges: ranges } = spec;
    const families = embeds ? this.#families : ipFamilies?.filter((family) => this.#families.includes(family));
    const ingress = (status?.loadBalancer?.ingress ?? []).flatMap((entry) =>
      external([entry.ip]).map((ip) => ({ ...entry, ip })),
    );
    return {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: this.#metadata(metadata),
      spec: {
        // Without a selector, no controller makes slices.
        ...without(spec, 'clusterIP', 'clusterIPs', 'selector', 'healthCheckNodePort'),
        ...(clusterIP === 'None' && { clusterIP }),
        ...(ipFamilies && {
          ipFamilies: families,
          ipFamilyPolicy: families?.length === 2 ? 'RequireDualStack' : 'SingleStack',
        }),
        ...(ports && { ports: ports.map((port) => without(port, 'nodePort')) }),
        ...(externalIPs && { externalIPs: external(externalIPs) }),
        ...(ranges && { loadBalancerSourceRanges: this.#keep(ranges, embeds) }),
      },
      ...(ingress.length > 0 && { status: { loadBalancer: { ingress } } }),
    };
  }

  #slice(slice: SliceObject): object[] {
    const { metadata, addressType } = slice;
    const embeds = this.#embeds(metadata, metadata.labels?.[serviceLabel]);
    if (!embeds && !this.#families.includes(addressType)) return [];
    const endpoints = slice.endpoints.map((endpoint) => {
      const { addresses, nodeName, hints } = endpoint;
      const forNodes = hints?.forNodes?.map(({ name }) => ({ name: nodeNames[name] ?? name }));
      return {
        ...endpoint,
        addresses: this.#keep(addresses, embeds),
        ...(nodeName && { nodeName: nodeNames[nodeName] ?? nodeName }),
        ...(forNodes && { hints: { ...hints, forNodes } }),
      };
    });
    return [{ ...slice, metadata: this.#metadata(metadata), addressType: embeds ? 'IPv6' : addressType, endpoints }];
  }

  #endpoints(object: EndpointsObject): object {
    const embeds = this.#embeds(object.metadata);
    const subsets = object.subsets.map((subset) => ({
      ...subset,
      addresses: this.#keep(
        subset.addresses.map(({ ip }) => ip),
        embeds,
      ).map((ip) => ({ ip })),
    }));
    return { ...object, metadata: this.#metadata(object.metadata), subsets };
  }
}

/** Gives each set its own external addresses, because Services of different sets must not claim the same address. */
function externalAddresses(): (set: string, address: string) => string {
  const chosen = new Map<string, string>();
  return (set, address) => {
    const key = `${set} ${address}`;
    const number = chosen.size + 1;
    const next =
      familyOf(address) === 'IPv4' ? `198.18.${number >> 8}.${number & 255}` : `fd18::${number.toString(16)}`;
    const found = chosen.get(key) ?? next;
    chosen.set(key, found);
    return found;
  };
}

/** Returns the objects for the cluster, namespaces first. */
export function planClusterObjects(sets: readonly ObjectSet[], family: ClusterFamily): object[] {
  const chooseExternal = externalAddresses();
  const namespaces = new Set<string>();
  const objects = sets.flatMap((set) => {
    const translation = new SetTranslation(set, family, chooseExternal);
    return set.objects.flatMap((object) => {
      const translated = translation.translate(object);
      if (translated.length > 0) namespaces.add(translation.namespace(object.metadata));
      return translated;
    });
  });
  return [...[...namespaces].map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })), ...objects];
}
