// Style sheets are bundled by esbuild; the compiler only has to know that they may be imported.
declare module "*.css";
