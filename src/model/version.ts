/** Put in by scripts/build.mjs: that of package.json. */
declare const VIPWIRE_VERSION: string | undefined;

export const version = typeof VIPWIRE_VERSION === 'string' ? VIPWIRE_VERSION : '0.0.0-unbuilt';
