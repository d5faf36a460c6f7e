/** The configuration in effect as the document that kube-proxy would write: every field, defaults too. */
import { stringify } from 'yaml';
import { joinHostPort } from '../model/address';
import { fileDefaults } from './complete';
import type { BindAddress, ProxyConfiguration } from './configuration';
import { apiVersion, kind } from './decode';
import { fieldAt, fieldPaths, isZero } from './fields';
import type { FieldPath, Settings } from './fields';

/** Left out where they say nothing, as in kube-proxy. */
const optional: ReadonlySet<FieldPath> = new Set([
  'featureGates',
  'logging.vmodule',
  'logging.options.text.splitStream',
  'logging.options.json.splitStream',
  'windowsRunAsService',
]);

/**
 * YAML that decodeConfiguration reads back to the same configuration.
 * @param settings what was set, of which `configuration` was made.
 * @param fromFile a file was among what set it.
 */
export function printConfiguration(settings: Settings, configuration: ProxyConfiguration, fromFile: boolean): string {
  const resolved: Settings = {
    ...(fromFile ? fileDefaults : {}),
    ...settings,
    mode: configuration.mode,
    detectLocalMode: configuration.detectLocalMode,
    nodePortAddresses: configuration.nodePortAddresses,
    healthzBindAddress: printAddress(configuration.healthzBindAddress),
    metricsBindAddress: printAddress(configuration.metricsBindAddress),
  };
  const document: Record<string, unknown> = { apiVersion, kind };
  for (const path of fieldPaths) {
    const field = fieldAt(path);
    const value = resolved[path] ?? field.initial;
    if (optional.has(path) && isZero(value)) continue;
    setAt(document, path.split('.'), field.kind.encode?.(value) ?? value);
  }
  return stringify(document, { version: '1.1', sortMapEntries: true, lineWidth: 0 });
}

function printAddress(bind: BindAddress | undefined): string {
  return bind === undefined ? '' : joinHostPort(bind.address, bind.port);
}

function setAt(block: Record<string, unknown>, [name = '', ...rest]: readonly string[], value: unknown): void {
  if (rest.length === 0) block[name] = value;
  else setAt((block[name] ??= {}) as Record<string, unknown>, rest, value);
}
