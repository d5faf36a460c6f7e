/** For commands about a node and what its kernel holds: which kernel, which configuration and which node is meant. */
import type { ProxyConfiguration } from '../config/configuration';
import { effectiveConfiguration, type FlagSettings } from '../config/effective';
import { runCommand } from '../host/command';
import { readTextFile } from '../host/files';
import { hostName } from '../host/host-name';
import { readInterfaceAddresses } from '../host/interfaces';
import type { Family } from '../model/address';
import { UserError } from '../model/user-error';
import { defaultMode, findMode } from '../modes/modes';
import type { Logger } from '../telemetry/log';
import { createLogger } from '../telemetry/logger';
import type { RulesKind } from '../trace/rules-kind';
import type { IptablesVariant } from '../xtables/variant';
import { areGiven, type KernelFiles, type ReadKernel, readKernelFiles, readKernelHere } from './kernel-texts';
import type { NodeRequest } from './node-plan';

export interface KernelRequest {
  readonly flags: FlagSettings;
  /** Manifests: files and folders, `-` is standard input; empty: an API server. */
  readonly files: readonly string[];
  /** '': not given. */
  readonly node: string;
  readonly families: readonly Family[];
  readonly kernelFiles: KernelFiles;
  /** Canonical; empty: not given. */
  readonly nodeAddresses: readonly string[];
  readonly iptablesVariant: IptablesVariant;
}

/** Reads the files that were given, else this machine's kernel. Throws UserError where nothing can be read. */
export function readKernel({ kernelFiles, iptablesVariant }: KernelRequest): Promise<ReadKernel> {
  if (areGiven(kernelFiles)) return readKernelFiles(kernelFiles);
  return readKernelHere(iptablesVariant, createLogger({ verbosity: 0, format: 'text' }));
}

/** Throws UserError where none of the wanted families was read. */
export async function nodeRequest(
  invocation: KernelRequest,
  texts: ReadKernel['texts'],
  configuration: ProxyConfiguration,
): Promise<NodeRequest> {
  const isOffline = areGiven(invocation.kernelFiles);
  const families = invocation.families.filter((family) => texts.has(family));
  if (families.length === 0) throw new UserError(`no rules of ${invocation.families.join(' or ')} were given`);
  const node = invocation.node || configuration.hostnameOverride || (isOffline ? '' : hostName());
  const hostAddresses = await findAddresses(invocation, isOffline);
  return { files: invocation.files, node, families, ...(hostAddresses && { hostAddresses }) };
}

/** The mode is the one that was found, whatever the configuration says: kube-proxy's own file may say nftables. */
export async function configureAs(
  { mode, answersOnLoopback }: RulesKind,
  flags: FlagSettings,
): Promise<{ readonly configuration: ProxyConfiguration; readonly log: Logger }> {
  const settings = { ...flags.settings, mode: (findMode(mode) ?? defaultMode).name };
  const { configuration, warnings } = await effectiveConfiguration({ ...flags, settings }, readTextFile);
  const log = createLogger(configuration.logging);
  for (const warning of warnings) log.debug(warning);
  // Some rules serve none, whatever is configured.
  const localhostNodePorts = configuration.localhostNodePorts && answersOnLoopback;
  return { configuration: { ...configuration, localhostNodePorts }, log };
}

async function findAddresses(
  { nodeAddresses }: KernelRequest,
  isOffline: boolean,
): Promise<readonly string[] | undefined> {
  if (nodeAddresses.length > 0) return nodeAddresses;
  if (isOffline) return undefined;
  return (await readInterfaceAddresses(runCommand, 'kube-ipvs0')).map(({ address }) => address);
}
