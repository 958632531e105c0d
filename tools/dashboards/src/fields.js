// SPDX-License-Identifier: Apache-2.0
// Applies a panel's field configuration and transformations as Grafana does.
import { FieldConfigOptionsRegistry, applyFieldOverrides, standardTransformers, standardTransformersRegistry, transformDataFrame } from '@grafana/data';
import { firstValueFrom } from 'rxjs';

const item = (path, isCustom = false) => ({
  id: isCustom ? `custom.${path}` : path,
  path,
  name: path,
  isCustom,
  process: (value) => (path === 'thresholds' ? steps(value) : value),
  shouldApply: () => true,
  override: () => null,
  editor: () => null,
});

const registry = new FieldConfigOptionsRegistry(() => [
  ...['unit', 'decimals', 'min', 'max', 'thresholds', 'mappings', 'color', 'noValue', 'links', 'displayName'].map((p) => item(p)),
  ...['width', 'align', 'cellOptions', 'drawStyle', 'lineWidth', 'fillOpacity', 'showPoints', 'spanNulls', 'stacking', 'thresholdsStyle', 'axisSoftMax'].map((p) => item(p, true)),
]);

standardTransformersRegistry.setInit(() =>
  [standardTransformers.mergeTransformer, standardTransformers.organizeFieldsTransformer].map((transformation) => ({ id: transformation.id, name: transformation.name, transformation: async () => transformation })),
);

function steps(thresholds) {
  return thresholds && { ...thresholds, steps: thresholds.steps.map((s) => ({ ...s, value: s.value ?? -Infinity })) };
}

export async function styled(panel, data, theme) {
  const context = { interpolate: (text) => text };
  const moved = await firstValueFrom(transformDataFrame(panel.transformations ?? [], data, context));
  return applyFieldOverrides({
    data: moved,
    fieldConfig: panel.fieldConfig ?? { defaults: {}, overrides: [] },
    fieldConfigRegistry: registry,
    replaceVariables: (text) => text,
    theme,
    timeZone: 'utc',
  });
}
