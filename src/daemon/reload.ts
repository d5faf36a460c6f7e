/** Follows the configuration file: what it comes to is brought into force, and what cannot be is told. */
import {
  diffConfigurations,
  diffSettings,
  type Part,
  restartFields,
  withoutRestart,
} from '../config/configuration-changes';
import { type EffectiveConfiguration, effectiveConfiguration, type FlagSettings } from '../config/effective';
import { readTextFile, watchPaths } from '../host/files';
import type { Logger } from '../telemetry/log';
import { messageOf } from '../model/error-message';

export interface ReloadOptions {
  readonly flags: FlagSettings;
  /** That of the start. */
  readonly effective: EffectiveConfiguration;
  /**
   * Brings these parts of it into force; false: not yet, and goes on trying. Rejects where it cannot: then what was in force
   * before stays.
   */
  readonly apply: (next: EffectiveConfiguration, parts: ReadonlySet<Part>) => Promise<boolean>;
  readonly onDone: (result: 'applied' | 'refused') => void;
  readonly log: Logger;
}

export class Reload {
  private inForce: EffectiveConfiguration;
  private lastText: string | undefined;
  private lastFailure = '';
  private wasRefused = false;
  private isRunning = false;
  private isStopped = false;
  /** It may have changed again since it was read. */
  private hasMore = false;
  private unwatch: (() => void) | undefined;
  /** Somebody wants to be told what the file comes to, also where that is nothing new. */
  private isAsked = false;

  constructor(private readonly options: ReloadOptions) {
    this.inForce = options.effective;
  }

  /** Follows writes, replacements by another file of that name, and links that lead elsewhere: a ConfigMap's. */
  start(): void {
    this.unwatch = watchPaths([this.options.flags.configFile], () => this.look());
  }

  /** Reads the file now, and says what it comes to. Before start and after stop nothing happens. */
  ask(): void {
    if (this.unwatch === undefined) return;
    this.isAsked = true;
    this.lastText = undefined;
    this.lastFailure = '';
    this.look();
  }

  /** What is being brought into force goes on. */
  stop(): void {
    this.unwatch?.();
    this.isStopped = true;
  }

  /** One at a time: what comes meanwhile is looked at after it. */
  private look(): void {
    this.hasMore = this.isRunning;
    if (this.isRunning || this.isStopped) return;
    this.isRunning = true;
    void this.readAndApply().finally(() => {
      this.isRunning = false;
      if (this.hasMore) this.look();
    });
  }

  private async readAndApply(): Promise<void> {
    const { flags, onDone, log } = this.options;
    const isAsked = this.isAsked;
    this.isAsked = false;
    try {
      const text = await readTextFile(flags.configFile);
      this.lastFailure = '';
      if (text === this.lastText) return;
      this.lastText = text;
    } catch (error) {
      this.tellFailure('the configuration cannot be read', error);
      return;
    }
    try {
      const text = this.lastText;
      if (await this.bringIntoForce(await effectiveConfiguration(flags, () => Promise.resolve(text))))
        onDone('applied');
      else if (isAsked) log.info({ file: flags.configFile }, 'the configuration file says what is in force already');
    } catch (error) {
      this.wasRefused = true;
      this.tellFailure('the changed configuration is refused', error);
      onDone('refused');
    }
  }

  /** Whether there was anything to do. */
  private async bringIntoForce(next: EffectiveConfiguration): Promise<boolean> {
    const { log, apply } = this.options;
    const { inForce } = this;
    const changed = diffSettings(inForce.settings, next.settings);
    if (changed.length === 0) {
      if (this.wasRefused) log.info('the configuration file says again what is in force');
      this.wasRefused = false;
      return false;
    }
    for (const warning of next.warnings) if (!inForce.warnings.includes(warning)) log.warn(warning);
    const start = this.options.effective;
    const wanted = withoutRestart(start, next);
    const isInForce = await apply(wanted, diffConfigurations(inForce.configuration, wanted.configuration));
    this.inForce = { ...wanted, settings: next.settings };
    this.wasRefused = false;
    const sinceStart = diffSettings(start.settings, next.settings);
    const waiting = changed.filter((path) => restartFields.includes(path) && sinceStart.includes(path));
    const rest = changed.filter((path) => !waiting.includes(path));
    const fields = rest.join(', ');
    if (!isInForce) log.warn({ fields }, 'the changed configuration is taken, but its rules are not in force yet');
    else if (rest.length > 0) log.info({ fields }, 'the changed configuration is in force');
    if (waiting.length > 0)
      log.warn(
        { fields: waiting.join(', ') },
        'these fields changed too, and take a restart: restart vipwire for them',
      );
    return true;
  }

  private tellFailure(what: string, error: unknown): void {
    const reason = messageOf(error);
    if (reason === this.lastFailure) return;
    this.lastFailure = reason;
    this.options.log.error({ file: this.options.flags.configFile, reason }, `${what}; the one in force stays`);
  }
}
