/** Follows the configuration file: brings what it says into force, and logs what cannot be. */
import {
  diffConfigurations,
  diffSettings,
  type Part,
  restartFields,
  withoutRestart,
} from '../config/configuration-changes';
import { type EffectiveConfiguration, effectiveConfiguration, type FlagSettings } from '../config/effective';
import { readTextFile, watchPaths } from '../host/files';
import { messageOf } from '../model/error-message';
import type { Logger } from '../telemetry/log';

export interface ReloadOptions {
  readonly flags: FlagSettings;
  /** The configuration at the start. */
  readonly effective: EffectiveConfiguration;
  /**
   * Brings these parts of it into force. Resolves with false when that is not done yet, and goes on by itself. Rejects when it
   * cannot be done: then what was in force before stays.
   */
  readonly apply: (next: EffectiveConfiguration, parts: ReadonlySet<Part>) => Promise<boolean>;
  readonly onDone: (result: 'applied' | 'refused') => void;
  readonly log: Logger;
}

/** The life of a reload. `unwatch` ends the watch of the file. */
type Phase =
  | { readonly name: 'not started' }
  /** The next change of the file is waited for. */
  | { readonly name: 'waiting'; readonly unwatch: () => void }
  /** The file is read, and brought into force. `again`: it may have changed since it was read. */
  | { readonly name: 'applying'; readonly unwatch: () => void; again: boolean }
  /** Nothing more is read. What was being brought into force goes on. */
  | { readonly name: 'stopped' };

export class Reload {
  readonly #options: ReloadOptions;
  #inForce: EffectiveConfiguration;
  #lastText: string | undefined;
  #lastFailure = '';
  #wasRefused = false;
  #phase: Phase = { name: 'not started' };
  /** Somebody wants to be told what the file comes to, also when that is nothing new. */
  #isAsked = false;

  constructor(options: ReloadOptions) {
    this.#options = options;
    this.#inForce = options.effective;
  }

  /** Follows writes, replacements by another file of that name, and links that lead elsewhere: a ConfigMap's. */
  start(): void {
    if (this.#phase.name !== 'not started') return;
    this.#phase = { name: 'waiting', unwatch: watchPaths([this.#options.flags.configFile], () => this.#look()) };
  }

  /** Reads the file now, and says what it comes to. Before start and after stop nothing happens. */
  ask(): void {
    if (this.#phase.name === 'not started' || this.#phase.name === 'stopped') return;
    this.#isAsked = true;
    this.#lastText = undefined;
    this.#lastFailure = '';
    this.#look();
  }

  /** What is being brought into force goes on. */
  stop(): void {
    if ('unwatch' in this.#phase) this.#phase.unwatch();
    this.#phase = { name: 'stopped' };
  }

  /** One at a time: what comes meanwhile is looked at after it. */
  #look(): void {
    const phase = this.#phase;
    if (phase.name === 'applying') phase.again = true;
    if (phase.name !== 'waiting') return;
    this.#phase = { name: 'applying', unwatch: phase.unwatch, again: false };
    void this.#readAndApply().finally(() => this.#applied());
  }

  #applied(): void {
    const phase = this.#phase;
    if (phase.name !== 'applying') return;
    this.#phase = { name: 'waiting', unwatch: phase.unwatch };
    if (phase.again) this.#look();
  }

  async #readAndApply(): Promise<void> {
    const { flags, onDone, log } = this.#options;
    const isAsked = this.#isAsked;
    this.#isAsked = false;
    try {
      const text = await readTextFile(flags.configFile);
      this.#lastFailure = '';
      if (text === this.#lastText) return;
      this.#lastText = text;
    } catch (error) {
      this.#tellFailure('the configuration cannot be read', error);
      return;
    }
    try {
      const text = this.#lastText;
      if (await this.#bringIntoForce(await effectiveConfiguration(flags, () => Promise.resolve(text))))
        onDone('applied');
      else if (isAsked) log.info({ file: flags.configFile }, 'the configuration file says what is in force already');
    } catch (error) {
      this.#wasRefused = true;
      this.#tellFailure('the changed configuration is refused', error);
      onDone('refused');
    }
  }

  /** Whether there was anything to do. */
  async #bringIntoForce(next: EffectiveConfiguration): Promise<boolean> {
    const { log, apply } = this.#options;
    const inForce = this.#inForce;
    const changed = diffSettings(inForce.settings, next.settings);
    if (changed.length === 0) {
      if (this.#wasRefused) log.info('the configuration file says again what is in force');
      this.#wasRefused = false;
      return false;
    }
    for (const warning of next.warnings) if (!inForce.warnings.includes(warning)) log.warn(warning);
    const start = this.#options.effective;
    const wanted = withoutRestart(start, next);
    const isInForce = await apply(wanted, diffConfigurations(inForce.configuration, wanted.configuration));
    this.#inForce = { ...wanted, settings: next.settings };
    this.#wasRefused = false;
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

  #tellFailure(what: string, error: unknown): void {
    const reason = messageOf(error);
    if (reason === this.#lastFailure) return;
    this.#lastFailure = reason;
    this.#options.log.error({ file: this.#options.flags.configFile, reason }, `${what}; the one in force stays`);
  }
}
