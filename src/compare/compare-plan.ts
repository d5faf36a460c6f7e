/** Compares a Plan with a node's rules, whoever wrote them, by what happens to connections and not by text. */
import { protocolName } from '../model/protocol';
import { joinHostPort } from '../model/address';
import { type Frontend, type Plan, servicePortName } from '../planner/plan';
import type { TracedKernel } from '../trace/kernel';
import { type Claim, collectClaims, keyOf } from './claims';
import { compareWays } from './compare-ways';
import type { Comparison, Difference, Finding, Undecided } from './difference';
import { compareHealthPorts, findExtraFrontends } from './extras';
import { Findings } from './findings';
import { contested, findKnown } from './known-differences';
import { loopback, type Tried, tryHairpin, type TryScope, trySources } from './try-sources';
import type { Asked } from './ways';

export interface CompareOptions {
  /** The addresses on which NodePorts are tried: canonical, at least one of the family. */
  readonly nodeAddresses: readonly string[];
  /** Whether the rules show who is masqueraded and who is let in. If not, these are not compared. */
  readonly hasRules: boolean;
  /** The CIDRs of ipvs.excludeCIDRs. What is on their addresses without a Service is not reported. */
  readonly excludeCIDRs?: readonly string[];
}

/** The result for one claim. */
interface Compared {
  readonly differences: readonly Difference[];
  readonly undecided: readonly Undecided[];
}

export function comparePlan(plan: Plan, kernel: TracedKernel, options: CompareOptions): Comparison {
  return new PlanComparer(plan, kernel, options).run();
}

class PlanComparer {
  readonly #scope: TryScope;
  /** The destinations that the rules are for, as keys of claims. */
  readonly #there: ReadonlySet<string>;
  readonly #plan: Plan;
  readonly #kernel: TracedKernel;
  readonly #options: CompareOptions;

  constructor(plan: Plan, kernel: TracedKernel, options: CompareOptions) {
    this.#plan = plan;
    this.#kernel = kernel;
    this.#options = options;
    const { nodeAddresses } = options;
    const nodeIP = plan.settings.nodeIPs[plan.family] ?? nodeAddresses[0] ?? '';
    const isLocal = (address: string): boolean => kernel.isLocal(address);
    this.#scope = { rules: kernel.kind, nodeIP, isLocal, plan, nodeAddresses };
    this.#there = new Set(kernel.destinations.map(keyOf));
  }

  run(): Comparison {
    const claims = collectClaims(this.#plan);
    const all = [...claims.values()].map((some) => this.#compareClaims(some));
    const { nodeAddresses, excludeCIDRs = [] } = this.#options;
    const open = this.#options.hasRules ? this.#kernel.healthCheckPorts : undefined;
    return {
      services: this.#plan.services.size,
      frontends: claims.size,
      differences: [
        ...all.flatMap(({ differences }) => differences),
        ...findExtraFrontends(new Set(claims.keys()), this.#kernel, nodeAddresses, excludeCIDRs),
        ...(open === undefined ? [] : compareHealthPorts(this.#plan, open)),
      ],
      undecided: all.flatMap(({ undecided }) => undecided),
    };
  }

  #compareClaims(claims: readonly Claim[]): Compared {
    const [first, ...others] = claims;
    if (first === undefined) return { differences: [], undecided: [] };
    const compared = this.#compareFrontend(first);
    if (others.length === 0 || hasOnlyKnown(compared)) return compared;
    if (!others.some((other) => hasOnlyKnown(this.#compareFrontend(other)))) return compared;
    return { ...compared, differences: compared.differences.map((one) => ({ ...one, known: contested })) };
  }

  #compareFrontend(claim: Claim): Compared {
    const found = this.#addressesOf(claim.frontend).map((address) => this.#compareAt(claim, address));
    return {
      differences: found.flatMap(({ differences }) => differences),
      undecided: found.flatMap(({ undecided }) => undecided),
    };
  }

  #addressesOf(frontend: Frontend): readonly string[] {
    if (frontend.kind !== 'NodePort') return [frontend.address];
    const { settings, family } = this.#plan;
    const answering = settings.nodePortAddresses[family];
    const addresses = answering.kind === 'all' ? this.#options.nodeAddresses : answering.addresses;
    return family === 'IPv4' && this.#kernel.kind.answersOnLoopback ? [...addresses, loopback] : addresses;
  }

  #compareAt({ port, frontend }: Claim, address: string): Compared {
    const asked: Asked = { kernel: this.#kernel, protocol: protocolName(port.protocol), address, port: frontend.port };
    const tried = trySources(port, frontend, asked, this.#scope);
    const where = { service: servicePortName(port), frontend: describe(frontend, asked) };
    const unknown = tried.find(({ observed }) => observed.kind === 'unknown');
    if (unknown !== undefined)
      return { differences: [], undecided: [{ ...where, rule: unknown.observed.rules.at(-1) }] };
    const found = new Findings(
      where,
      tried.map(({ source }) => source),
      tried[0]?.observed.rules ?? [],
    );
    if (this.#isMissing(frontend, asked, tried)) {
      found.add({
        aspect: 'frontend',
        change: 'missing',
        expected: `should be ${describeExpected(tried)}`,
        observed: '',
      });
      return { differences: found.differences(), undecided: [] };
    }
    const servesOutside = tried.some(
      ({ source, observed }) => source.kind === 'outside' && observed.kind === 'forwarded',
    );
    const rules = this.#kernel.kind;
    for (const { source, expected, observed } of tried)
      for (const finding of compareWays({ rules, port, frontend, source, servesOutside }, expected, observed))
        if (this.#isCompared(finding))
          found.add(finding, source, findKnown(this.#kernel, frontend, source, finding), observed.rules);
    for (const finding of tryHairpin(port, frontend, asked, this.#scope))
      if (this.#isCompared(finding)) found.add(finding);
    return { differences: found.differences(), undecided: [] };
  }

  /** A refused connection does not prove that the frontend exists: in nftables mode unused ports of a cluster IP are refused. */
  #isMissing(frontend: Frontend, { protocol }: Asked, tried: readonly Tried[]): boolean {
    if (tried.every(({ expected }) => expected.kind === 'untouched')) return false;
    if (tried.every(({ observed }) => observed.kind === 'untouched')) return true;
    const isServed = tried.some(({ observed }) => observed.kind === 'forwarded');
    return !isServed && !this.#there.has(keyOf({ ...frontend, protocol }));
  }

  #isCompared({ aspect }: Finding): boolean {
    return this.#options.hasRules || (aspect !== 'masquerade' && aspect !== 'source ranges');
  }
}

function hasOnlyKnown({ differences }: Compared): boolean {
  return differences.every(({ known }) => known !== undefined);
}

function describeExpected(tried: readonly Tried[]): string {
  const { expected } = tried.find((one) => one.expected.kind === 'forwarded') ?? tried[0] ?? {};
  if (expected === undefined) return '';
  const { kind, why, endpoints } = expected;
  return kind === 'forwarded' ? `forwarded to ${[...endpoints.keys()].join(', ')}` : `${kind}: ${why ?? ''}`;
}

function describe({ kind }: Frontend, { address, port, protocol }: Asked): string {
  return `${kind} ${joinHostPort(address, port)}/${protocol}`;
}
