//! The text about a model's licenses, which is written beside it.

use super::{Catalogue, Model};

impl Catalogue {
    /// The notice for a model from these sources.
    pub(super) fn notice(&self, model: &Model, sources: &str) -> String {
        let Model { name, license, attribution, .. } = model;
        let mut text = format!(
            "{name}\n\nLicense: {license}\nAttribution: {attribution}\nSource: {sources}\n\
             Changes: diarize has converted the files to its own format. The values of the weights are unchanged.\n"
        );
        for license in model.licenses() {
            let terms = self.licenses.get(license).map_or("", |terms| terms.trim());
            text += &format!("\n---- {license} ----\n\n{terms}\n");
        }
        text
    }
}
