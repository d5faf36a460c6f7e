/** Prints the configuration in effect as kube-proxy would write it: every field, including the defaults. */
import { stringify } from 'yaml';
import { joinHostPort } from '../model/address';
import { fileDefaults } from './complete';
import type { BindAddress, ProxyConfiguration } from './configuration';
import { apiVersion, kind } from './decode';
import { fieldAt, type FieldPath, fieldPaths, isZero, type Settings } from './fields';
import { isRecord } from './value-kinds';

/** These are left out when they are zero, as in kube-proxy. */
const optional: ReadonlySet<FieldPath> = new Set([
  'featureGates',
  'logging.vmodule',
  'logging.options.text.splitStream',
  'logging.options.json.splitStream',
  'windowsRunAsService',
]);

/**
 * Returns YAML that decodeConfiguration reads back to the same configuration.
 * @param settings the settings from which `configuration` was made.
 * @param fromFile whether some of them come from a file.
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
  if (rest.length === 0) {
    block[name] = value;
    return;
  }
  const inner = isRecord(block[name]) ? block[name] : {};
  block[name] = inner;
  setAt(inner, rest, value);
}
